// Runs once, beside the list of conversations: the buttons around an answer tell the server.
const isOurs = (tools) => {
  const key = element.querySelector('.shelf')?.dataset.key;
  return Boolean(key && tools?.classList.contains(`key-${key}`));
};

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('#chat .tools button');
  if (!button || button.disabled || !isOurs(button.closest('.tools'))) return;
  if (button.classList.contains('go-on')) return document.querySelector('#continue')?.click();
  const [, act, id] = button.className.match(/\b(go|(?:un)?(?:dis)?like)-(\d+)/) ?? [];
  if (act) say(act === 'go' ? 'version' : act, '', id);
});

// What stands around an answer is markup in the message, for the page only: it is not copied along.
const AROUND = /(?:^|\n)<span class="(?:tools [a-z0-9 -]+|turn-line|notice|hidden-line)">[^\n]*<\/span>(?=\n|$)/g;
const plain = (text) => text.includes('class="tools ') ? text.replace(AROUND, '').trim() : text;

if (navigator.clipboard) {
  const write = navigator.clipboard.writeText.bind(navigator.clipboard);
  navigator.clipboard.writeText = (text) => write(plain(text));
}

// Without https Gradio copies out of a text box that it makes for that.
document.addEventListener('copy', (event) => {
  const text = document.activeElement?.value;
  if (!text?.includes('class="tools ')) return;
  event.clipboardData.setData('text/plain', plain(text));
  event.preventDefault();
});
