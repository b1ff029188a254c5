// A button that records, sends the recording as WAV to the service, and shows the answer.
const LONGEST_SECONDS = 30;
const SHORTEST_SECONDS = 0.3;
// Below it a microphone gives its own hiss, or nothing: silence is no emotion.
const QUIETEST_PEAK = 0.003;

const element = (id) => document.getElementById(id);
const button = element("record");
const level = element("level").firstElementChild;
let recording = null;

button.addEventListener("click", async () => {
  if (recording) {
    recording.stop();
    return;
  }
  button.disabled = true;
  say("Asking for the microphone …");
  try {
    recording = await begin();
    button.textContent = "Stop and classify";
    button.classList.add("recording");
    button.disabled = false;
    const { blocks, rate } = await recording.done;
    show(await classify(wav(blocks, rate)));
  } catch (fault) {
    say(words(fault), true);
  }
  recording = null;
  level.style.width = "0";
  button.textContent = "Record";
  button.classList.remove("recording");
  button.disabled = false;
});

async function begin() {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers give the microphone to localhost and to https pages only.");
  }
  // What makes a call pleasant changes a voice: none of it is asked for.
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  const blocks = [];
  let frames = 0;
  let peak = 0;
  const release = () => {
    for (const track of stream.getTracks()) track.stop();
    context.close();
  };
  try {
    await context.audioWorklet.addModule("recorder.js");
    const recorder = new AudioWorkletNode(context, "recorder");
    const stop = () => recorder.port.postMessage("stop");
    const done = new Promise((resolve, reject) => {
      recorder.onprocessorerror = () => reject(new Error("The browser could not record."));
      stream.getTracks()[0].onended = () => reject(new Error("The microphone was taken away."));
      recorder.port.onmessage = ({ data }) => {
        if (!data.length) {
          if (frames < SHORTEST_SECONDS * context.sampleRate) reject(new Error("That was too short."));
          else if (peak < QUIETEST_PEAK) reject(new Error("Nothing was heard; is it the right microphone?"));
          else resolve({ blocks, rate: context.sampleRate });
          return;
        }
        blocks.push(data);
        frames += data.length;
        const seconds = frames / context.sampleRate;
        const loudest = data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
        peak = Math.max(peak, loudest);
        level.style.width = `${Math.min(100, 100 * loudest)}%`;
        say(`Recording, ${seconds.toFixed(1)} s …`);
        if (seconds >= LONGEST_SECONDS) stop();
      };
    }).finally(release);
    // It writes silence; a node that leads nowhere is not run by every browser.
    context.createMediaStreamSource(stream).connect(recorder).connect(context.destination);
    return { stop, done };
  } catch (fault) {
    release();
    throw fault;
  }
}

/** The samples as a WAV of 16 bits, at the rate of the microphone: the service converts it. */
function wav(blocks, rate) {
  const frames = blocks.reduce((sum, block) => sum + block.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * frames));
  const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * frames, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * frames, true);
  let at = 44;
  for (const block of blocks) {
    for (const sample of block) {
      view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(32768 * sample))), true);
      at += 2;
    }
  }
  return view.buffer;
}

async function classify(body) {
  say("Classifying …");
  const began = performance.now();
  const response = await fetch("classify", {
    method: "POST",
    body,
    headers: { "Content-Type": "audio/wav" },
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return { ...answer, milliseconds: performance.now() - began };
}

function show(answer) {
  const ranked = Object.entries(answer.scores).sort((a, b) => b[1] - a[1]);
  element("label").textContent = answer.label;
  element("scores").replaceChildren(
    ...ranked.map(([label, score]) => {
      const row = document.createElement("li");
      const bar = document.createElement("span");
      const fill = document.createElement("span");
      const share = document.createElement("span");
      const percent = `${(100 * score).toFixed(1)} %`;
      bar.className = "bar";
      fill.style.width = `${100 * score}%`;
      bar.append(fill);
      share.className = "share";
      share.textContent = percent;
      row.append(label, bar, share);
      return row;
    }),
  );
  element("detail").textContent =
    `${answer.seconds.toFixed(1)} s of audio, answered in ${Math.round(answer.milliseconds)} ms`;
  element("answer").hidden = false;
  say("Press the button to record again.");
}

function say(line, fault = false) {
  element("status").textContent = line;
  element("status").classList.toggle("fault", fault);
}

function words(fault) {
  if (fault.name === "NotAllowedError") return "The microphone was not allowed; allow it for this page.";
  if (fault.name === "NotFoundError") return "No microphone was found.";
  if (fault instanceof TypeError) return "The service does not answer; is it still running?";
  return fault.message;
}

try {
  const { model, interpreter } = await (await fetch("health")).json();
  element("model").textContent = `${model.name} (${model.sha256.slice(0, 12)}), ${interpreter}`;
} catch (fault) {
  say(words(fault), true);
}
