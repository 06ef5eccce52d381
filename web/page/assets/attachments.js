// Runs once, in the composer: sends the files that are chosen, dropped or pasted to the server.
const MAX_BYTES = 20 * 2 ** 20;

// Files are chips from the first moment. As long as one is on its way or being read, keys.js keeps Send back.
const coming = document.createElement('ul');
coming.className = 'coming';
element.parentElement.append(coming); // Gradio draws what is within anew
let numAdded = 0;

function chipsOf(files) {
  return files.map(({ name }) => {
    const chip = document.createElement('li'), label = document.createElement('span');
    label.textContent = name;
    chip.append(label, document.createElement('progress'));
    return chip;
  });
}

async function add(files) {
  const chosen = [...files];
  if (!chosen.length) return;
  const chips = chipsOf(chosen);
  coming.append(...chips);
  const large = chosen.filter((file) => file.size > MAX_BYTES).map((file) => file.name);
  const sent = [], lost = [];
  for (const file of chosen.filter((file) => file.size <= MAX_BYTES)) {
    try {
      sent.push({ path: (await upload(file)).path, name: file.name });
    } catch (error) {
      console.warn(error);
      lost.push(file.name);
    }
  }
  numAdded += 1;
  for (const chip of chips) chip.dataset.number = numAdded;
  trigger('click', { act: 'add', files: sent, large, lost });
  document.querySelector('#message textarea')?.focus();
}

// When the page is made anew for a lost connection, the server knows nothing of its files: that is said of each.
const LOST = 'warmchat-lost-files';
window.addEventListener('warmchat-renew', () => {
  const names = [...element.parentElement.querySelectorAll('li > span')].map((label) => label.textContent);
  if (names.length) sessionStorage.setItem(LOST, JSON.stringify(names));
});

function tellOfLost() {
  const lost = JSON.parse(sessionStorage.getItem(LOST) ?? '[]');
  sessionStorage.removeItem(LOST);
  if (!lost.length) return;
  numAdded += 1;
  trigger('click', { act: 'add', lost });
}

let againAt = null; // the chip whose charset was chosen: it is drawn anew, and keeps the focus
let newest = null; // what the server has drawn last: an older answer may come behind it

new MutationObserver(() => {
  const waiting = element.querySelector('.waiting');
  if (!waiting) return;
  if (newest && Number(waiting.dataset.rendering) < Number(newest.dataset.rendering))
    return waiting.replaceWith(newest.cloneNode(true));
  if (!newest) tellOfLost();
  if (againAt !== null && waiting.dataset.rendering !== newest?.dataset.rendering) {
    waiting.querySelector(`select[data-index="${againAt}"]`)?.focus();
    againAt = null;
  }
  newest = waiting.cloneNode(true);
  const isRead = ({ dataset }) => Number(dataset.number) <= Number(newest.dataset.added);
  const read = [...coming.children].filter(isRead);
  for (const chip of read) chip.remove();
  if (read.length) document.dispatchEvent(new Event('files-read'));
}).observe(element, { childList: true, subtree: true, attributes: true });

element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (!button) return;
  if (button.dataset.act === 'remove') return trigger('click', { act: 'remove', index: button.dataset.index });
  const picker = document.createElement('input');
  picker.type = 'file';
  picker.multiple = true;
  picker.addEventListener('change', () => add(picker.files));
  picker.click();
});

element.addEventListener('change', ({ target }) => {
  if (target.dataset.act !== 'charset') return;
  againAt = target.dataset.index;
  trigger('click', { act: 'charset', index: target.dataset.index, charset: target.value });
});

const holdsFiles = (event) => event.dataTransfer?.types.includes('Files');
const mark = (isOver) => document.body.classList.toggle('dropping', isOver);
document.addEventListener('dragover', (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(true);
}, true);
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) mark(false);
}, true);
document.addEventListener('drop', (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  event.stopPropagation();
  mark(false);
  add(event.dataTransfer.files);
}, true);
document.addEventListener('paste', (event) => {
  const files = event.clipboardData?.files ?? [];
  if (!files.length || event.clipboardData.types.includes('text/plain')) return;
  event.preventDefault();
  add(files);
}, true);
