// Runs once, in the header: a button for each tab of the drawer, which opens it there, or closes it.
const drawer = () => document.querySelector('#live');
const isOpen = () => drawer().classList.contains('open');
const buttons = () => [...element.querySelectorAll('[data-tab]')];
let shown = null; // the button that has opened it

function mark() {
  for (const button of buttons()) button.setAttribute('aria-expanded', button.dataset.tab === shown);
}

function press(button) {
  const isOther = button.dataset.tab !== shown;
  if (isOther) drawer().querySelectorAll('[role=tab]')[buttons().indexOf(button)]?.click();
  if (isOther !== isOpen()) drawer().querySelector('.toggle-button').click();
  shown = isOther ? button.dataset.tab : null;
  mark();
}

let wasOpen = false; // it has a button of its own that closes it
new MutationObserver(() => {
  if (wasOpen && !isOpen()) shown = null;
  wasOpen = isOpen();
  mark();
}).observe(drawer(), { attributes: true, attributeFilter: ['class'] });

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-tab]');
  if (button) press(button);
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing || !isOpen() || !event.target.closest('#live, #drawer-buttons')) return;
  event.stopPropagation();
  press(buttons().find((button) => button.dataset.tab === shown) ?? buttons()[0]);
}, true);
