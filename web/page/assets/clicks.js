// Runs once, beside the list of conversations: what is clicked in the list, around answers and to begin anew is told
// to the server one after another, in the order of the clicks, since each of them may change what the page shows.
const clicks = [];
let isTelling = false;

function tellNext() {
  isTelling = clicks.length > 0;
  if (isTelling) trigger('click', clicks.shift());
}

function say(act, id, text) {
  clicks.push({ act, id: id ?? '', text: text ?? '' });
  if (!isTelling) tellNext();
}

window.addEventListener('warmchat-clicked', () => setTimeout(tellNext)); // the one before is over, well or not
window.addEventListener('warmchat-anew', () => say('anew'));
