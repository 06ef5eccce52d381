// Runs once, beside the list of conversations: the buttons below an answer tell the server, or press those of
// Gradio's that do the same and are not shown.
const isOurs = (tools) => {
  const key = element.querySelector('.shelf')?.dataset.key;
  return Boolean(key && tools?.classList.contains(`key-${key}`));
};

const GRADIOS = ['copy', 'retry', 'undo']; // in the order of its buttons

function pressGradios(button, place) {
  button.closest('.message-row').nextElementSibling?.querySelectorAll('button')[place]?.click();
}

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('#chat .tools button');
  if (!button || button.disabled || !isOurs(button.closest('.tools'))) return;
  if (button.classList.contains('go-on')) return document.querySelector('#continue')?.click();
  const place = GRADIOS.findIndex((name) => button.classList.contains(name));
  if (place >= 0) return pressGradios(button, place);
  const [, act, id] = button.className.match(/\b(go|edit|(?:un)?(?:dis)?like)-(\d+)/) ?? [];
  if (act === 'edit') return window.dispatchEvent(new CustomEvent('warmchat-edit', { detail: { id } }));
  if (act) say(act === 'go' ? 'version' : act, '', id);
});

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('#chat .tools .copy');
  if (!button || !isOurs(button.closest('.tools'))) return;
  button.classList.add('copied');
  button.addEventListener('pointerleave', () => button.classList.remove('copied'), { once: true });
});
