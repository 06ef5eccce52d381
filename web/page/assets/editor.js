// Runs once: asks the server for the text of an answer that is to be edited (editing.js).
window.addEventListener('warmchat-edit', (event) => trigger('click', event.detail));
