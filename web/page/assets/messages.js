// Runs once, behind column.js: what a model or a person writes is no control of this page, and code has a header.
// Gradio's sanitiser leaves buttons, forms, names and styles; here those do nothing, and lie on nothing.
const CONTROLS = 'button, input, select, textarea';
const NAMES = ['id', 'name', 'for', 'form', 'formaction', 'role', 'tabindex'];

eachNew('#chat .prose *', (node) => {
  if (node.closest('.katex')) node.style.position = ''; // it needs other styles
  else node.removeAttribute('style');
  for (const name of NAMES) node.removeAttribute(name);
  const isKept = node.matches('.copy_code_button, .tools[class*="key-"] button');
  if (node.matches(CONTROLS) && !isKept) node.disabled = true;
  if (node.matches('a[href]') && /\/logout\/*$/.test(new URL(node.href, location.href).pathname)) node.removeAttribute('href');
});

eachNew('#chat .code_wrap', (block) => {
  block.dataset.language = block.querySelector('code')?.className.match(/\blanguage-(\S+)/)?.[1] ?? '';
  block.querySelector('pre')?.setAttribute('tabindex', '0'); // its long lines scroll by keys, too
  const button = block.querySelector('.copy_code_button');
  button.title = word('copy');
  button.setAttribute('aria-label', word('copy'));
});

// The sanitiser takes the names of our buttons away, and leaves their titles.
eachNew('#chat .tools[class*="key-"] button', (button) => button.setAttribute('aria-label', button.title));

eachNew('#chat table', (table) => table.setAttribute('tabindex', '0'));

// Gradio names each message by its source, which is HTML and English.
eachNew('#chat [data-testid=user], #chat [data-testid=bot]', (message) => {
  const unname = () => message.hasAttribute('aria-label') && message.removeAttribute('aria-label');
  new MutationObserver(unname).observe(message, { attributeFilter: ['aria-label'] });
  unname();
});
