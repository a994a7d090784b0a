// A component that is rendered again only when one of its properties is another one: for lists of hundreds.
import { Component } from "./html.js";

export function memo(view) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const names = Object.keys(next);
      return names.length !== Object.keys(this.props).length || names.some((name) => next[name] !== this.props[name]);
    }

    render(props) {
      return view(props);
    }
  };
}
