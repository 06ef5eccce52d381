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

let refocus = null; // what to look for in the next list, after a button that was pressed by key

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  const item = button?.closest('[data-id]');
  if (!item) return;
  const tools = { pin: 'unpin', unpin: 'pin' };
  const act = tools[button.dataset.act] ?? 'open';
  refocus = event.detail ? null : `[data-id="${item.dataset.id}"] [data-act=${act}]`;
  if (refocus && button.dataset.act === 'delete') refocus = '.undo button';
  if (button.dataset.act === 'rename') return rename(item);
  say(button.dataset.act, item.dataset.id);
  if (button.dataset.act === 'open' && narrow()) toggle('.open:not(.right)');
});

// The address names the open conversation once it is in the list; its owner is never in it.
function address() {
  if (document.querySelector('#search input, #search textarea')?.value) return;
  const open = element.querySelector('[aria-current]')?.dataset.id;
  const url = new URL(location.href);
  if (url.searchParams.get('c') === (open ?? null) || !element.querySelector('.shelf')) return;
  if (open) url.searchParams.set('c', open);
  else url.searchParams.delete('c');
  history.replaceState(history.state, '', url);
}

new MutationObserver(() => {
  address();
  const renaming = element.querySelector('.shelf input');
  const found = refocus && !renaming && element.querySelector(refocus);
  if (found) {
    found.focus();
    refocus = null;
  }
}).observe(element, { childList: true, subtree: true, attributes: true }); // Gradio changes what differs
address(); // the list may have come before this script

// Another tab may have gone on with this conversation.
let left = false;
window.addEventListener('blur', () => (left = true));
window.addEventListener('focus', () => {
  if (left) trigger('submit', {});
  left = false;
});

if (narrow()) setTimeout(() => toggle('.open:not(.right)'));
