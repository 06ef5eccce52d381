// Runs once, beside the buttons that save the open conversation: tells the server which was clicked.
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-form]');
  if (button) trigger('click', { form: button.dataset.form });
});
