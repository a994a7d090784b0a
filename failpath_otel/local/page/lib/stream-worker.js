// The worker that holds the one stream of all tabs of a browser, and passes its events on to each.
import { Source } from "./source.js";

const ports = new Set();

const source = new Source((message) => {
  for (const port of ports) port.postMessage(message);
});

function join(port) {
  ports.add(port);
  port.postMessage({ type: "state", state: source.state });
  // To a tab that comes later, the last word counts as the greeting.
  if (source.hello !== null) port.postMessage({ type: "hello", resumed: false, ...source.hello });
  source.open();
}

function leave(port) {
  ports.delete(port);
  if (ports.size === 0) source.close();
}

self.onconnect = (event) => {
  const port = event.ports[0];
  port.onmessage = ({ data }) => {
    if (data.type === "join") {
      join(port);
      // A tab that crashes says nothing, but gives its lock away.
      if (data.lock) self.navigator.locks?.request(data.lock, () => leave(port));
    } else if (data.type === "leave") leave(port);
    else if (data.type === "hurry") source.hurry();
  };
  port.start();
};
