// A run as text: JSON as the receiver gives it, and plain text for a bug report.
import { inTime, instant, isFailed } from "../../lib/attempts.js";
import { duration } from "../../lib/format.js";
import { ownFrames } from "./stack.js";
import { look } from "../../lib/status.js";

export function asJson(data) {
  return `${JSON.stringify({ run: data.run, events: data.events }, null, 2)}\n`;
}

export function asText({ run, p50Ms }, now) {
  const { word } = look(run.status, run.liveness);
  const parts = [
    [
      `Run ${run.runId} of ${run.flowKey}: ${word}`,
      `started  ${run.startedAt}`,
      run.endedAt === null ? `not ended, looked at ${new Date(now).toISOString()}` : `ended    ${run.endedAt} (${duration(run.durationMs)})`,
      ...processes(run).map((process) => `process  ${process}`),
    ].join("\n"),
    `Steps\n${table(stepRows(run, p50Ms))}`,
    ...run.steps.filter((step) => step.error !== null).map(failure),
    ...run.steps.filter((step) => step.error === null && isFailed(step)).map(goneStep),
    ...metadata(run),
  ];
  return `${parts.join("\n\n")}\n`;
}

function processes(run) {
  const known = run.steps.filter((step) => step.process).map(({ process }) => `${process.pid} on ${process.host}${process.startTime ? ` since ${process.startTime}` : ""}`);
  return [...new Set(known)];
}

function stepRows(run, p50Ms) {
  const start = instant(run.startedAt);
  const rows = inTime(run.steps).map((step) => [
    step.stepKey,
    `#${step.attempt}`,
    look(step.status, step.liveness).word,
    `+${duration(Math.max(0, instant(step.startedAt ?? step.endedAt) - start))}`,
    step.durationMs === null ? "" : duration(step.durationMs),
    p50Ms[step.stepKey] === undefined ? "" : duration(p50Ms[step.stepKey]),
  ]);
  return [["step", "attempt", "status", "at", "duration", "p50"], ...rows];
}

function table(rows) {
  const widths = rows[0].map((_, column) => rows.reduce((most, row) => Math.max(most, row[column].length), 0));
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()}`).join("\n");
}

const titled = (step) => `${step.stepKey}${step.attempt > 1 ? `, attempt ${step.attempt}` : ""}`;

function failure(step) {
  const { name, message, stack } = step.error;
  const lines = [`Error in ${titled(step)} (trace ${step.traceId}, span ${step.spanId})`, `${name}: ${message}`];
  const own = ownFrames(step.error);
  if (own.length > 0) lines.push("", "Frames of the application:", ...own);
  if (stack) lines.push("", "Whole stack:", stack.trimEnd());
  return lines.join("\n");
}

function goneStep(step) {
  return `${titled(step)} began at ${step.startedAt} and never finished: its process has ended.`;
}

// Most steps of a run share their metadata: each is listed once, with the steps that have it.
function metadata(run) {
  const found = new Map();
  for (const step of run.steps) {
    if (Object.keys(step.metadata).length === 0) continue;
    const text = JSON.stringify(step.metadata, null, 2);
    if (!found.has(text)) found.set(text, new Set());
    found.get(text).add(step.attempt > 1 ? `${step.stepKey} #${step.attempt}` : step.stepKey);
  }
  return [...found].map(([text, names]) => `Metadata of ${namesOf([...names])}\n${text}`);
}

function namesOf(names) {
  return names.length > 8 ? `${names.slice(0, 8).join(", ")} and ${names.length - 8} more` : names.join(", ");
}
