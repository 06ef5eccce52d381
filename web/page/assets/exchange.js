// Runs once: tells the server which conversation of the list is to be saved, and in which form (menu.js).
window.addEventListener('warmchat-export', (event) => trigger('click', event.detail));
