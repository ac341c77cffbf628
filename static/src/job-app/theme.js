/** The looks of the host: light or dark, its colours and fonts, and the room that a phone needs. */

import { attribute } from "../../pages/ui.js";
import { adopt } from "../live-job/style.js";

const VARIABLES = {
  "--live-job-font": "--font-sans",
  "--live-job-mono": "--font-mono",
  "--live-job-ground": "--color-background-primary",
  "--live-job-sunken": "--color-background-secondary",
  "--live-job-ink": "--color-text-primary",
  "--live-job-soft": "--color-text-secondary",
  "--live-job-line": "--color-border-secondary",
  "--live-job-edge": "--color-border-primary",
};

/** States of several words take a line of their own in a narrow chat, and leave the title its room. */
const NARROW = `
@container (max-width: 480px) {
  .head { flex-wrap: wrap; }
  :is([data-kind="queued"], [data-kind="waiting"], [data-kind="cancelling"]) .state {
    flex-basis: 100%;
    order: 1;
    max-inline-size: 100%;
  }
}
`;

/** The style of `<live-job>`, and what a chat needs beside it. */
export function style(root) {
  adopt(root);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(NARROW);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}

export function dress(place, { theme, styles, safeAreaInsets: insets }) {
  const page = document.documentElement;
  // Not for the whole page: a browser paints a ground behind a frame of another scheme than its own.
  attribute(place, "theme", theme ?? null);
  for (const [ours, theirs] of Object.entries(VARIABLES)) {
    const value = styles?.variables?.[theirs];
    if (value) page.style.setProperty(ours, value);
    else page.style.removeProperty(ours);
  }
  const { top = 0, right = 0, bottom = 0, left = 0 } = insets ?? {};
  page.style.padding = `${top}px ${right}px ${bottom}px ${left}px`;
}
