// Runs once, beside the list of conversations: the buttons around an answer tell the server.
document.addEventListener('click', (event) => {
  const button = event.target.closest?.('#chat :is(.versions, .answer-tools) button');
  if (!button || button.disabled) return;
  if (button.classList.contains('go-on')) return document.querySelector('#continue')?.click();
  const [, act, id] = button.className.match(/\b(go|like|dislike)-(\d+)/) ?? [];
  if (act) trigger('click', { act: act === 'go' ? 'version' : act, id: '', text: id });
});
