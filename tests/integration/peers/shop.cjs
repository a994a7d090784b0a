// A shop in JavaScript: OpenTelemetry's SDK and exporters, and of Failpath only the names of its attributes.
//
// Arguments: the encoding (`protobuf` or `json`, or `grpc`), the story to act, and the run id. Where spans go, how they are
// compressed and how long an export may take stand in OpenTelemetry's own variables. It tells what happens as it
// happens, each time by a line of JSON.
"use strict";

const { diag, DiagLogLevel, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const exporters = {
  grpc: () => require("@opentelemetry/exporter-trace-otlp-grpc"),
  json: () => require("@opentelemetry/exporter-trace-otlp-http"),
  protobuf: () => require("@opentelemetry/exporter-trace-otlp-proto"),
};

const [encoding, story, runId] = process.argv.slice(2);

function tell(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function complain(...words) {
  tell({ complaint: words.map(String).join(" ") });
}

function whisper(...words) {
  const [, milliseconds] = /export retry in (\d+)ms/.exec(words.join(" ")) ?? [];
  if (milliseconds !== undefined) {
    tell({ retry: Number(milliseconds) });
  }
}

const silent = () => {};
const logger = { error: complain, warn: complain, info: silent, debug: silent, verbose: whisper };
diag.setLogger(logger, DiagLogLevel.VERBOSE);

const { OTLPTraceExporter } = exporters[encoding]();
const exporter = new OTLPTraceExporter();
const send = exporter.export.bind(exporter);
exporter.export = (spans, done) =>
  send(spans, (result) => {
    tell({ sent: spans.length, taken: result.code === 0, status: result.error?.code ?? null });
    done(result);
  });

const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "shop", "process.pid": process.pid, "host.name": "box-of-node" }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
const tracer = provider.getTracer("shop-of-node");

function identity(step) {
  return { "failpath.flow.key": "checkout", "failpath.run.id": runId, "failpath.step.key": step };
}

function step(key, attributes, parent) {
  return tracer.startSpan(key, { attributes: { ...identity(key), ...attributes } }, parent);
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const stories = {
  // A step of each kind, below a request that is none.
  async steps() {
    const request = tracer.startSpan("GET /buy", { kind: SpanKind.SERVER });
    const within = trace.setSpan(ROOT_CONTEXT, request);
    tell({ pid: process.pid, trace: request.spanContext().traceId });

    const metadata = {
      "failpath.metadata.route": "/büy \u{1F6D2}",
      "failpath.metadata.items": 3,
      "failpath.metadata.total": 12.5,
      "failpath.metadata.flags": [true, false],
      "failpath.metadata_json.cart": JSON.stringify({ books: [1, null] }),
    };
    const validate = step("validate", metadata, within);
    await pause(25); // a timer of Node.js may be a millisecond early
    validate.end();

    const charge = step("charge", {}, within);
    charge.recordException(new TypeError("card declined"));
    charge.setStatus({ code: SpanStatusCode.ERROR, message: "less than the exception says" });
    charge.end();

    const reserve = step("reserve", {}, within);
    reserve.addEvent("failpath.step.running");
    reserve.setAttribute("failpath.metadata.shelf", 7);
    reserve.addEvent("failpath.step.success");
    reserve.end();

    step("receipt", { "failpath.step.status": "skipped" }, within).end();

    const withoutRun = { "failpath.flow.key": "checkout", "failpath.step.key": "ship" };
    tracer.startSpan("ship", { attributes: withoutRun }, within).end();

    request.end();
  },

  // Spans that have never heard of Failpath; which order it is about, the application says for itself.
  async untouched() {
    const order = { "shop.order": runId };
    const request = tracer.startSpan("POST /charge", { kind: SpanKind.SERVER, attributes: order });
    const within = trace.setSpan(ROOT_CONTEXT, request);
    tell({ pid: process.pid, trace: request.spanContext().traceId });

    const driver = provider.getTracer("driver-of-node");
    const insert = driver.startSpan("INSERT orders", { attributes: order }, within);
    insert.setStatus({ code: SpanStatusCode.ERROR, message: "table is locked" });
    insert.end();
    tracer.startSpan("INSERT orders", { attributes: order }, within).end();
    tracer.startSpan("render", {}, within).end();
    request.end();
  },

  // A step that can be used, and one that cannot.
  async unusable() {
    step("validate").end();
    step("charge", { "failpath.flow.key": 7 }).end();
  },

  // A text that was cut in the middle of a character, as `slice` does.
  async cut() {
    step("validate", { "failpath.metadata.note": "a cart: \u{1F6D2}".slice(0, -1) }).end();
  },

  // Several exports, one after the other.
  async many() {
    for (let number = 0; number < 1200; number++) {
      step(`step-${number}`).end();
      if (number % 400 === 399) {
        await provider.forceFlush();
      }
    }
  },
};

async function main() {
  await stories[story]();
  // An export that has failed was told of.
  await provider.shutdown().catch(silent);
}

main();
