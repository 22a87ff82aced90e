// npm's `openai` as its users write it; prints what they get or catch.
//
// node openai-client.mjs BASE_URL (whole | stream | stop | models) MODEL
import OpenAI from "openai";

const [baseURL, wish, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused" });
const messages = [{ role: "user", content: "Hi" }];
const got = { text: "" };

async function readStream(stopAfterFirst) {
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  for await (const chunk of stream) {
    const text = chunk.choices[0].delta.content ?? "";
    got.text += text;
    got.finish = chunk.choices[0].finish_reason;
    if (stopAfterFirst && text) stream.controller.abort();
  }
}

const wishes = {
  whole: async () => {
    const completion = await client.chat.completions.create({ model, messages });
    got.text = completion.choices[0].message.content;
    got.requestId = completion._request_id;
  },
  stream: () => readStream(false),
  stop: () => readStream(true),
  models: async () => {
    got.ids = [];
    for await (const entry of client.models.list()) got.ids.push(entry.id);
    got.found = (await client.models.retrieve(model)).id;
  },
};

try {
  await wishes[wish]();
} catch (error) {
  const { status, code, type, requestID, message } = error;
  got.error = { name: error.constructor.name, status, code, type, requestID, message };
}
console.log(JSON.stringify(got));
