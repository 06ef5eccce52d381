// Runs once, beside the list of conversations: tells the server which button was clicked.
const say = (act, id, text) => trigger('click', { act, id, text: text ?? '' });

function rename(item) {
  const title = item.querySelector('.title');
  const box = document.createElement('input');
  box.value = title.textContent;
  box.setAttribute('aria-label', item.querySelector('[data-act=rename]').title);
  let open = true;
  const end = (keep) => {
    if (!open) return;
    open = false;
    const name = box.value.trim();
    item.querySelector('.open').hidden = false;
    box.remove();
    if (keep && name && name !== title.textContent) say('rename', item.dataset.id, name);
  };
  box.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') end(true);
    if (event.key === 'Escape') end(false);
    event.stopPropagation();
  });
  box.addEventListener('blur', () => end(true));
  item.querySelector('.open').hidden = true;
  item.prepend(box);
  box.select();
}

const narrow = () => window.innerWidth <= 768;
const toggle = (side) => document.querySelector(`.sidebar${side} .toggle-button`)?.click();

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  const item = button?.closest('[data-id]');
  if (!item) return;
  if (button.dataset.act === 'rename') return rename(item);
  say(button.dataset.act, item.dataset.id);
  if (button.dataset.act === 'open' && narrow()) toggle('.open:not(.right)');
});

document.addEventListener('click', (event) => {
  const arrow = event.target.closest?.('#chat .versions button[class*=go-]');
  if (arrow) say('version', '', arrow.className.match(/go-(\d+)/)[1]);
});

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, [contenteditable]');
  if (event.key === 'Escape') document.querySelector('#message .stop-button')?.click();
  if (event.key === '/' && !typing) {
    event.preventDefault();
    document.querySelector('#message textarea')?.focus();
  }
});

if (narrow()) setTimeout(() => toggle('.open:not(.right)'));
