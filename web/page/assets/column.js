// Runs once, beside the list of conversations, before what else stands in the column of messages, and on the page of
// completion: the words of these scripts, and what comes into the page, told once to all that want to know.
'use strict'; // so that a function within braces stays there: these files are one scope
const WORDS = __WORDS__;
const word = (key) => (WORDS[document.documentElement.lang] ?? WORDS.en)[key];

function whenThere(selector, then) {
  const found = document.querySelector(selector);
  if (found) return then(found);
  const looking = new MutationObserver(() => {
    const come = document.querySelector(selector);
    if (!come) return;
    looking.disconnect();
    then(come);
  });
  looking.observe(document.body, { childList: true, subtree: true });
}

const wanted = []; // [selector, what is done with each such element that comes]
const eachNew = (selector, does) => wanted.push([selector, does]);

function tellOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  for (const [selector, does] of wanted) {
    if (node.matches(selector)) does(node);
    node.querySelectorAll(selector).forEach(does);
  }
}

queueMicrotask(() => { // behind the scripts that want to know
  new MutationObserver((changes) => {
    for (const change of changes) change.addedNodes.forEach(tellOf);
  }).observe(document.body, { childList: true, subtree: true });
  tellOf(document.body);
});
