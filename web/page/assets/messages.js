// Runs once, beside the list of conversations: what a model or a person writes is no control of this page.
// Gradio's sanitiser leaves buttons, forms, names and styles; here those do nothing, and lie on nothing.
const CONTROLS = 'button, input, select, textarea';
const NAMES = ['id', 'name', 'for', 'form', 'formaction', 'role', 'tabindex'];
const WRITTEN = '#chat .prose *';

function tame(node) {
  if (node.closest('.katex')) node.style.position = ''; // it needs other styles
  else node.removeAttribute('style');
  for (const name of NAMES) node.removeAttribute(name);
  const isKept = node.matches('.copy_code_button, .tools[class*="key-"] button');
  if (node.matches(CONTROLS) && !isKept) node.disabled = true;
  if (node.matches('a[href]') && /\/logout\/*$/.test(new URL(node.href, location.href).pathname)) node.removeAttribute('href');
}

function tameAll(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  if (node.matches(WRITTEN)) tame(node);
  node.querySelectorAll(WRITTEN).forEach(tame);
}

new MutationObserver((changes) => {
  for (const change of changes) change.addedNodes.forEach(tameAll);
}).observe(document.body, { childList: true, subtree: true });
tameAll(document.body);
