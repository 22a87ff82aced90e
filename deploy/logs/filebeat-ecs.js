// Maps the gateway's fields to the Elastic Common Schema; Filebeat runs this for each line.
//
// Fields that ECS has no place for stay where they are, such as gateway.outcome or gateway.added_s.
// ECMAScript 5.1, which is what Filebeat runs.

var TARGETS = {
  level: "log.level",
  event: "event.action",
  exception: "error.stack_trace",
  request_id: "http.request.id",
  trace_id: "trace.id",
  principal: "user.name",
  provider: "gen_ai.system",
  model: "gen_ai.request.model",
  tokens_in: "gen_ai.usage.input_tokens",
  tokens_out: "gen_ai.usage.output_tokens",
  status: "http.response.status_code",
  method: "http.request.method",
  path: "url.path",
  bytes_in: "http.request.body.bytes",
  bytes_out: "http.response.body.bytes",
  client: "client.address",
  error_code: "error.code",
  error_detail: "error.message",
  labels: "labels",
};
var OUTCOMES = {
  finished: "success",
  upstream_failed: "failure",
  policy_stopped: "failure",
  rejected: "failure",
  client_gone: "unknown", // nothing failed: the caller left
  lost: "unknown",
};
var ADDRESS = /^(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/;
var NANOSECONDS = 1e9;

function process(event) {
  var line = event.Get("gateway");
  if (!line || typeof line.event !== "string" || typeof line.timestamp !== "string") {
    event.Cancel();
    return;
  }
  event.Put("@timestamp", new Date(line.timestamp));
  event.Delete("gateway.timestamp");
  event.Put("event.kind", "event");
  event.Put("event.dataset", "gateway.log");
  event.Put("service.name", "gateway");
  if (line.event === "exchange.settled") {
    describeExchange(event, line);
  }
  Object.keys(line).forEach(function (name) {
    var value = line[name];
    if (value !== null && TARGETS.hasOwnProperty(name)) {
      event.Put(TARGETS[name], value);
    }
    if (value === null || TARGETS.hasOwnProperty(name)) {
      event.Delete("gateway." + name);
    }
  });
}

function describeExchange(event, line) {
  event.Put("event.category", ["web"]);
  event.Put("event.type", ["access"]);
  event.Put("event.outcome", OUTCOMES[line.outcome] || "unknown");
  if (typeof line.duration_s === "number") {
    event.Put("event.duration", Math.round(line.duration_s * NANOSECONDS));
  }
  // With something that is no address (`unknown`), Elasticsearch would refuse the whole document.
  if (typeof line.client === "string" && ADDRESS.test(line.client)) {
    event.Put("client.ip", line.client);
  }
}
