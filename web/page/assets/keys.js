// Runs once, beside the list of conversations: Esc stops, / goes to the box. What is entered while an answer comes or
// the connection is lost stays in the box until that is over; what is entered before the page knows its conversation,
// or while a file is being read, is sent as soon as it can be.
const box = () => document.querySelector('#message textarea');
const knowsItsConversation = () => element.querySelector('.shelf'); // the list comes together with it
const isReading = () => document.querySelector('#attach .coming li');
const isLost = () => document.body.classList.contains('disconnected'); // connection.js
const isAnswered = () => document.querySelector('#message .stop-button');
let isWaiting = false; // what was entered before

function send() {
  if (!isWaiting || isAnswered() || isReading() || !knowsItsConversation()) return;
  isWaiting = false;
  if (box().value.trim()) document.querySelector('#message .submit-button').click();
}

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, [contenteditable]');
  if (event.key === 'Escape' && !event.isComposing) document.querySelector('#message .stop-button')?.click();
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box()?.focus();
  }
});

window.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.target.tagName !== 'TEXTAREA') return;
  // This Enter chooses a word of an input method, as for Chinese.
  if (event.isComposing || event.keyCode === 229) return event.stopPropagation();
  if (!event.target.closest('#message')) return;
  if (!isAnswered() && !isReading() && !isLost() && knowsItsConversation()) return;
  event.preventDefault();
  event.stopPropagation();
  if (!isAnswered() && !isLost()) isWaiting = true;
}, true);

const SENDS = '#message .submit-button', SENDS_EDITED = '#chat .message-row:has(textarea) + .message-buttons-right button:not(:last-child)';

window.addEventListener('click', (event) => {
  const isSent = event.target.closest?.(SENDS);
  const isKept = isLost() ? isSent || event.target.closest?.(SENDS_EDITED) : isSent && isReading();
  if (!isKept) return;
  event.preventDefault();
  event.stopPropagation();
  if (!isLost()) isWaiting = true;
}, true);

new MutationObserver(send).observe(element, { childList: true, subtree: true });
document.addEventListener('files-read', send);

// Gradio calls the examples a list, but they are buttons.
new MutationObserver(() => document.querySelector('#chat .examples[role=list]')?.setAttribute('role', 'group'))
  .observe(document.body, { childList: true, subtree: true });
