// The steps of a chat front end: fetch with a string body and no header, text decoded as it
// arrives, json() on a failure. Prints what its user would see.
//
// node chat-front-end.mjs URL BODY [stop-after-first-chunk | stop-before-head]
import { stdin } from "node:process";

const [url, body, stop] = process.argv.slice(2);
const controller = new AbortController();
if (stop === "stop-before-head") stdin.once("data", () => controller.abort());

async function ask() {
  const response = await fetch(url, { method: "POST", body, signal: controller.signal });
  if (!response.ok) {
    const failure = await response.json();
    return { status: response.status, toast: failure.message };
  }
  const seen = { status: response.status, text: "", failed: false };
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      seen.text += decoder.decode(value, { stream: true });
      if (stop === "stop-after-first-chunk") controller.abort();
    }
  } catch (error) {
    seen.failed = error.name === "AbortError" ? "stopped" : "broken";
  }
  return seen;
}

const seen = await ask().catch((error) => ({ error: error.name }));
console.log(JSON.stringify(seen));
stdin.unref?.();
