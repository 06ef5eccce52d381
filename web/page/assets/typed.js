// Runs once, behind column.js: what was typed, and what was answered, out of the form in which the page has it,
// when it is edited or copied (web/writing has the way there).
const SIGNS = __SIGNS__; // of each mark around a formula, what was written in its place
const withSigns = (text) => text.replace(/[\ufde0-\ufdef]/g, (mark) => SIGNS[mark] ?? mark);
const CHIPS = '<div class="attachments">';
const TYPED = '<div class="typed" data-form="\ufdef">';
const BRACKET = /&#x0003c;/g;
// What stands below an answer is markup in the message, for the page only: it is not copied along.
const AROUND = /(?:^|\n)<span class="(?:tools [a-z0-9 -]+|notice|hidden-line|waiting)">[^\n]*<\/span>(?=\n|$)/g;

const isForm = (text) => text.startsWith(TYPED) || text.startsWith(CHIPS);

function parsed(form) {
  const parts = document.createElement('template');
  parts.innerHTML = withSigns(form.replace(TYPED, '<div class="typed">'));
  return parts.content;
}

const typedIn = (form) => parsed(form).querySelector('.typed')?.textContent ?? '';
const filesIn = (form) => [...parsed(form).querySelectorAll('.attachments pre')].map((pre) => pre.textContent).join('');

eachNew('#chat textarea', (box) => {
  if (!isForm(box.value)) return;
  box.value = typedIn(box.value);
  box.dispatchEvent(new Event('input', { bubbles: true }));
});

function plain(text) {
  if (isForm(text)) return filesIn(text) + typedIn(text);
  return withSigns(text.replace(AROUND, '')).replace(BRACKET, '<').trim();
}

const isOfTheChat = (text) => isForm(text) || /[\ufde0-\ufdef]|&#x0003c;|<span class="tools /.test(text);

if (navigator.clipboard) {
  const write = navigator.clipboard.writeText.bind(navigator.clipboard);
  navigator.clipboard.writeText = (text) => write(isOfTheChat(text) ? plain(text) : text);
}

// Without https Gradio copies out of a text box that it makes for that.
document.addEventListener('copy', (event) => {
  const text = document.activeElement?.value;
  if (!text || !isOfTheChat(text)) return;
  event.clipboardData.setData('text/plain', plain(text));
  event.preventDefault();
});
