// Runs once, beside the list of conversations: the menu of a row. What it says is a template of the list.
let menu = null; // the open one: its box, the conversation's id, and the button that opened it

function closeMenu(comesBack) {
  if (!menu) return;
  const { box, id } = menu;
  menu = null;
  box.remove();
  const opener = itemOf(id)?.querySelector('.more');
  opener?.removeAttribute('aria-expanded');
  if (comesBack) opener?.focus();
}

// Below its button, or above it where there is no room, and within the window.
function place(box, beside) {
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(Math.max(beside.right - width, 8), window.innerWidth - width - 8);
  const below = beside.bottom + 4 + height <= window.innerHeight;
  const top = below ? beside.bottom + 4 : Math.max(beside.top - 4 - height, 8);
  Object.assign(box.style, { left: `${left}px`, top: `${top}px` });
}

function openMenu(item) {
  const { id } = item.dataset;
  const isOpen = menu?.id === id;
  closeMenu();
  if (isOpen) return;
  const box = element.querySelector('.shelf > template').content.firstElementChild.cloneNode(true);
  box.querySelector(item.hasAttribute('data-pinned') ? '[data-act=pin]' : '[data-act=unpin]').remove();
  const opener = item.querySelector('.more');
  opener.setAttribute('aria-expanded', 'true');
  (element.closest('.contain') ?? document.body).append(box); // where its font and the styles for narrow windows reach it
  menu = { box, id };
  refocus = null; // the focus goes into the menu, and stays there when the list is drawn anew
  place(box, opener.getBoundingClientRect());
  box.addEventListener('keydown', onMenuKey);
  box.addEventListener('click', (event) => {
    const button = event.target.closest('[data-act]');
    if (!button) return;
    const { act, form } = button.dataset;
    closeMenu();
    if (act === 'export') window.dispatchEvent(new CustomEvent('warmchat-export', { detail: { form, id } }));
    else obey(act, itemOf(id), !event.detail);
  });
  box.querySelector('button').focus();
}

function onMenuKey(event) {
  const entries = [...menu.box.querySelectorAll('button')];
  const at = entries.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (to !== undefined) entries.at(to % entries.length).focus();
  if (event.key === 'Escape' || event.key === 'Tab') closeMenu(true);
  if (to === undefined && event.key !== 'Escape') return;
  event.preventDefault();
  event.stopPropagation(); // Escape is for the menu alone
}

document.addEventListener('pointerdown', (event) => {
  if (menu && !event.target.closest?.('.row-menu, .more')) closeMenu();
}, true);
window.addEventListener('resize', () => closeMenu());
element.addEventListener('scroll', () => closeMenu(), true);
