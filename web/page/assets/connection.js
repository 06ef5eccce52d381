// The connection to the server, on every page, in front of streams.js and of Gradio, which would say in English that
// it is lost: here nothing that fails on its way is told to Gradio. What fails is asked again once the server answers;
// how long that takes does not matter, a server that is slow is not lost. Where nobody answers, the page says so, tries
// again, and is made anew as soon as the server is back, since that has forgotten it; drafts.js keeps what was written.
{
  const WORDS = __WORDS__;
  const word = (key) => (WORDS[document.documentElement.lang] ?? WORDS.en)[key];
  const PAUSE_MS = 2000, MOST_TRIES = 3, MOST_RENEWALS = 3, RENEWED = 'warmchat-renewed';
  const ASKING = /\/gradio_api\/(run|queue|heartbeat)\//;
  const plain = window.fetch.bind(window);
  const never = new Promise(() => {});
  let isStale = false; // the server may not know this page as it is: it is to be made anew
  let looking = null; // until the server answers

  // A proxy says in words of its own that there is no server behind it.
  const isOfAProxy = (answer) => answer.status >= 502 && !answer.headers.get('content-type')?.includes('json');

  async function runOfTheServer() { // null: nobody answers; '': it does not know us any more
    const { root, api_prefix: prefix } = window.gradio_config;
    try {
      const answer = await plain(`${root}${prefix}/app_id`, { cache: 'no-store' });
      return isOfAProxy(answer) ? null : (await answer.json()).app_id ?? '';
    } catch {
      return null;
    }
  }

  const pause = () => new Promise((resolve) => {
    const over = new AbortController();
    const goOn = () => { over.abort(); resolve(); };
    setTimeout(goOn, PAUSE_MS);
    window.addEventListener('online', goOn, over);
  });

  async function look() {
    for (let before = null; ;) {
      const run = await runOfTheServer();
      const isSame = run === window.gradio_config.app_id;
      if (isSame && !isStale) return;
      // One that is about to end may answer once more.
      if (run !== null && (!isSame || run === before)) return renew();
      isStale = true;
      showLost();
      before = run;
      await pause();
    }
  }

  const answers = () => (looking ??= look().finally(() => (looking = null)));

  let bar = null; // what is said below the header

  function showLost() {
    if (bar) return;
    document.body.classList.add('disconnected');
    bar = document.createElement('div');
    bar.id = 'connection';
    bar.setAttribute('role', 'alert');
    const header = document.querySelector('#header');
    if (header) header.after(bar);
    else document.body.prepend(bar);
    const status = document.createElement('span');
    status.className = 'lost';
    status.textContent = word('disconnected');
    header?.prepend(status);
    fillBar('connection_lost');
  }

  function fillBar(key, ...more) {
    const told = document.createElement('div'), text = document.createElement('p');
    text.textContent = word(key);
    told.append(text, ...more);
    bar.replaceChildren(told);
  }

  function showBack() {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = word('reload');
    button.addEventListener('click', () => location.reload());
    showLost();
    document.querySelector('#header .lost')?.remove();
    fillBar('connection_back', button);
  }

  // What is written there is kept by nobody.
  const isWritingElsewhere = () => document.querySelector('#chat textarea:enabled, .shelf input, #live :is(textarea, input[type=number]):focus');

  // Where only some requests fail, as behind a proxy that is set up wrongly, the page would be made anew for ever.
  function isRenewedTooOften() {
    const recent = JSON.parse(sessionStorage.getItem(RENEWED) ?? '[]').filter((time) => Date.now() - time < 60_000);
    sessionStorage.setItem(RENEWED, JSON.stringify([...recent, Date.now()]));
    return recent.length >= MOST_RENEWALS;
  }

  function renew() {
    window.dispatchEvent(new Event('warmchat-renew'));
    if (isWritingElsewhere() || isRenewedTooOften()) showBack();
    else location.reload();
    return never;
  }

  function lose() { // something is missing that does not come again
    isStale = true;
    return answers();
  }

  // What changes nothing may be asked again though it may have arrived: what a page asks by itself.
  const ASKED_BY_ITSELF = ['load', 'tick', 'change'];
  function isTwiceTheSame([, options]) {
    const { fn_index: index } = JSON.parse(options?.body ?? '{}');
    const event = window.gradio_config.dependencies.find(({ id }) => id === index);
    return Boolean(event?.targets.every(([, name]) => ASKED_BY_ITSELF.includes(name)));
  }

  async function ask(call, isRepeatable) {
    for (let tries = 1; ; tries++) {
      if (isStale) await answers(); // for good
      try {
        const answer = await plain(...call);
        if (!isOfAProxy(answer) || tries === MOST_TRIES) return answer;
      } catch (error) {
        if (error.name === 'AbortError' || tries === MOST_TRIES) throw error;
      }
      await (isRepeatable ? answers() : lose()); // a message that may have arrived is not sent once more
    }
  }

  // Its end is the first to be seen where the server ends; where only a proxy has cut it, nothing is lost.
  async function heart(call) {
    const answer = await ask(call, true);
    const [told, seen] = answer.body.tee();
    seen.pipeTo(new WritableStream()).catch(() => {}).finally(answers);
    return new Response(told, answer);
  }

  window.fetch = (...call) => {
    const path = new URL(call[0].url ?? call[0], location.href).pathname;
    if (!ASKING.test(path)) return plain(...call);
    if (path.includes('/heartbeat/')) return heart(call);
    return ask(call, path.endsWith('/data') || (path.includes('/run/') && isTwiceTheSame(call)));
  };
  window.addEventListener('warmchat-broken', lose); // a stream of events (streams.js)
  // Which a server on this machine is not; a page that asks for a password has no connection yet.
  window.addEventListener('offline', () => window.gradio_config?.app_id && answers());
}
