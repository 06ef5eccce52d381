// Runs once, beside the list of conversations: its buttons are told by `say` (clicks.js).
const itemOf = (id) => element.querySelector(`.shelf [data-id="${id}"]`);

let renaming = null; // the conversation that gets a new name, the box with it, and how that ends

function rename(item) {
  renaming?.end(true);
  const box = document.createElement('input');
  const before = (box.value = item.querySelector('.title').textContent);
  const { id } = item.dataset;
  const end = (keep) => {
    if (renaming?.box !== box || (keep && document.body.classList.contains('disconnected'))) return;
    renaming = null;
    box.remove();
    const open = itemOf(id)?.querySelector('.open');
    if (open) open.hidden = false;
    const name = box.value.trim();
    if (keep && name && name !== before) say('rename', id, name);
  };
  box.setAttribute('aria-label', element.querySelector('template').content.querySelector('[data-act=rename]').textContent);
  box.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.isComposing || event.keyCode === 229) return; // it is for an input method, as for Chinese
    if (event.key === 'Enter') end(true);
    if (event.key === 'Escape') end(false);
  });
  // A list that is drawn anew takes the box away, which is no end: keepRenaming brings it back.
  box.addEventListener('blur', () => setTimeout(() => box === document.activeElement || end(true)));
  renaming = { id, box, end };
  keepRenaming();
  box.select();
}

function keepRenaming() {
  const item = renaming && itemOf(renaming.id);
  if (!item || renaming.box.parentNode === item) return;
  item.querySelector('.open').hidden = true;
  item.prepend(renaming.box);
  renaming.box.focus();
}

const narrow = () => window.innerWidth <= 768;
const toggle = (side) => document.querySelector(`.sidebar${side} .toggle-button`)?.click();

let refocus = null; // what to look for in the next list, after a button that was pressed by key

// What a button of a row, or of its menu, is for; isByKey: then the keyboard stays there.
function obey(act, item, isByKey) {
  if (!item) return;
  const next = act === 'pin' || act === 'unpin' ? 'menu' : 'open';
  refocus = isByKey ? `[data-id="${item.dataset.id}"] [data-act=${next}]` : null;
  if (isByKey && act === 'delete') refocus = '.undo button';
  if (act === 'rename') return rename(item);
  say(act, item.dataset.id);
  if (act === 'open' && narrow()) toggle('.open:not(.right)');
}

// A list that is drawn anew keeps its elements, and each may stand for another conversation when a press ends.
let pressed = null;
element.addEventListener('pointerdown', (event) => (pressed = event.target.closest('[data-id]')?.dataset.id));

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  let item = button?.closest('[data-id]');
  if (event.detail && item?.dataset.id !== pressed) item = itemOf(pressed);
  if (!item) return;
  if (button.dataset.act === 'menu') return openMenu(item);
  obey(button.dataset.act, item, !event.detail);
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

// Another page has asked in this conversation, or has gone on with it: this one follows.
let wasAnswering = false;

function attend() {
  const isAnswering = Boolean(element.querySelector('[aria-current] .answering'));
  if (isAnswering && !wasAnswering && !document.querySelector('#message .stop-button')) trigger('submit', {});
  wasAnswering = isAnswering;
}

new MutationObserver(() => {
  address();
  attend();
  keepRenaming();
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
