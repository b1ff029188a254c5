// Hands the microphone's samples to the page, a few thousand at a time.
const BLOCK = 4096;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
    this.ended = false;
    // The page asks for the rest; an empty block tells it that nothing follows.
    this.port.onmessage = () => {
      this.hand(this.block.slice(0, this.filled));
      if (this.filled) this.hand(new Float32Array(0));
      this.ended = true;
    };
  }

  hand(samples) {
    this.port.postMessage(samples, [samples.buffer]);
  }

  process([channels]) {
    for (const sample of channels[0] ?? []) {
      this.block[this.filled++] = sample;
      if (this.filled === BLOCK) {
        this.hand(this.block);
        this.block = new Float32Array(BLOCK);
        this.filled = 0;
      }
    }
    return !this.ended;
  }
}

registerProcessor("recorder", Recorder);
