// The server ends a page's stream when no event of it runs. An event asked for meanwhile may have its answer before
// that end arrives, behind a proxy or on a busy machine: Gradio takes the stream for open, and the event is lost.
// So here the stream goes on in another one until every event has ended. Where that cannot be, because the connection
// is lost or the server ends, nobody but connection.js is told, which has the page made anew.
{
  const plain = window.fetch.bind(window);
  const running = new Map(), early = new Set(), joining = new Set(); // running: whether each is an answer, by ids
  const END = { msg: 'close_stream' };

  const tellAnswered = () => window.dispatchEvent(new Event('warmchat-answered')); // drafts.js

  const isAnswer = ([, { body }]) => {
    const { fn_index: index } = JSON.parse(body);
    return Boolean(window.gradio_config.dependencies.find(({ id }) => id === index)?.api_name?.startsWith('answer'));
  };

  const note = async (call, answer) => {
    const { event_id: id } = await answer.clone().json();
    if (!id) return;
    if (!early.delete(id)) running.set(id, isAnswer(call));
    else if (isAnswer(call)) tellAnswered();
  };

  const join = async (call) => {
    const noted = plain(...call).then(async (answer) => (answer.ok && await note(call, answer), answer));
    joining.add(noted);
    try {
      return await noted;
    } finally {
      joining.delete(noted);
    }
  };

  async function* messages(answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = '';;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split('\n\n');
      rest = parts.pop();
      yield* parts;
    }
  }

  const watch = (message) => {
    if (message.includes('"msg":"process_completed"')) {
      const { event_id: id } = JSON.parse(message.replace(/^data: /, ''));
      if (!running.has(id)) early.add(id);
      else if (running.get(id)) tellAnswered();
      running.delete(id);
    }
  };

  async function* lasting(request, answer) {
    for (let told = true; told;) {
      told = false;
      for await (const message of messages(answer)) {
        if (message.includes('"msg":"close_stream"')) break;
        if (message.includes('"msg":"unexpected_error"')) throw new Error(message);
        watch(message);
        yield message;
        told = true;
      }
      await Promise.allSettled(joining);
      if (!running.size) {
        yield `data: ${JSON.stringify(END)}`;
        return;
      }
      answer = await plain(request.clone());
    }
    throw new TypeError('The stream of events has broken off.');
  }

  async function* unbroken(request, answer) {
    try {
      return yield* lasting(request, answer);
    } catch (error) {
      if (request.signal.aborted) throw error; // by Gradio, which is done with it
      console.warn(error);
    }
    window.dispatchEvent(new Event('warmchat-broken'));
    await new Promise(() => {});
  }

  const stream = async (request) => {
    const answer = await plain(request.clone());
    if (!answer.ok) return answer;
    const told = unbroken(request, answer), encoder = new TextEncoder();
    const body = new ReadableStream({
      async pull(to) {
        const { value, done } = await told.next();
        if (done) to.close();
        else to.enqueue(encoder.encode(`${value}\n\n`));
      },
    });
    return new Response(body, answer);
  };

  window.fetch = (...call) => {
    const path = new URL(call[0].url ?? call[0], location.href).pathname;
    if (path.endsWith('/queue/join')) return join(call);
    if (path.endsWith('/queue/data') && call[0] instanceof Request) return stream(call[0]);
    return plain(...call);
  };
}
