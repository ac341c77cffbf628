// Renders the hooks where there is no browser, and prints the markup.
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import "livejobs/live-job"; // without elements, it only loads
import { useJob, useJobs } from "livejobs/react";

function Percent() {
  return `${useJob("teaser").state}, ${useJobs().jobs.length} jobs`;
}
console.log(renderToString(createElement(Percent)));
