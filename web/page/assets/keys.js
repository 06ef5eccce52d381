// Runs once, beside the list of conversations: Esc stops, / goes to the box, what is entered while an answer
// comes stays in the box until that is over, and what is entered before the page knows its conversation is
// sent as soon as it does.
const knowsItsConversation = () => element.querySelector('.shelf'); // the list comes together with it
let isWaiting = false; // what was entered before

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, [contenteditable]');
  if (event.key === 'Escape') document.querySelector('#message .stop-button')?.click();
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.querySelector('#message textarea')?.focus();
  }
});

window.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.target.tagName !== 'TEXTAREA') return;
  // This Enter chooses a word of an input method, as for Chinese.
  if (event.isComposing || event.keyCode === 229) return event.stopPropagation();
  if (!event.target.closest('#message')) return;
  const isAnswered = document.querySelector('#message .stop-button');
  if (!isAnswered && knowsItsConversation()) return;
  event.preventDefault();
  event.stopPropagation();
  if (!isAnswered) isWaiting = true;
}, true);

// For the styles: a selector that looks for the list would be asked anew at every change of the page.
const tellStyles = () => document.body.classList.toggle('knows-its-conversation', Boolean(knowsItsConversation()));
tellStyles();

new MutationObserver(() => {
  tellStyles();
  if (!isWaiting || !knowsItsConversation()) return;
  isWaiting = false;
  if (document.querySelector('#message textarea').value.trim()) document.querySelector('#message .submit-button').click();
}).observe(element, { childList: true, subtree: true });

// Gradio calls the examples a list, but they are buttons.
new MutationObserver(() => document.querySelector('#chat .examples[role=list]')?.setAttribute('role', 'group'))
  .observe(document.body, { childList: true, subtree: true });
