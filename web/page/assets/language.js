// Runs once, beside the choice of language: remembers it and has the page made anew in it.
element.addEventListener('change', (event) => {
  const { value, dataset } = event.target;
  // On a Space the page lies in a frame of another site, where only such cookies are kept.
  const framed = location.protocol === 'https:' ? 'samesite=none; secure; partitioned' : 'samesite=lax';
  const age = value ? 31536000 : 0;
  document.cookie = `${dataset.cookie}=${value}; path=/; max-age=${age}; ${framed}`;
  void document.cookie; // waits until the browser has it: a reload may ask for the page before
  location.reload();
});
