// The server sorts conversations by the days of this clock. Runs before the page asks for anything.
{
  const framed = location.protocol === 'https:' ? 'samesite=none; secure; partitioned' : 'samesite=lax';
  document.cookie = `warmchat_utc_offset=${-new Date().getTimezoneOffset()}; path=/; max-age=31536000; ${framed}`;
}
