import './generated/wasm_exec.js';
import url from './generated/preflight.wasm?url';
import type { Answer, Question, Report } from './preflight';

/** Looks into files off the page's own thread. The check is the service's own, compiled for the browser. */

declare const Go: new () => { importObject: WebAssembly.Imports; run(instance: WebAssembly.Instance): Promise<void> };
declare function bullionPreflight(input: {
  size: number;
  read: (offset: number, length: number) => Promise<Uint8Array>;
  diskFormat: string;
  containerFormat: string;
}): Promise<Report>;

const ready = start();

async function start(): Promise<void> {
  const go = new Go();
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const { instance } = await WebAssembly.instantiateStreaming(response, go.importObject);
  void go.run(instance); // it stays alive to serve
}

self.onmessage = async ({ data: { id, file, diskFormat } }: MessageEvent<Question>) => {
  let answer: Answer;
  try {
    await ready;
    const read = async (offset: number, length: number) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
    answer = { id, report: await bullionPreflight({ size: file.size, read, diskFormat, containerFormat: '' }) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : String(error) };
  }
  self.postMessage(answer);
};
