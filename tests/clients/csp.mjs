// What csp_evaluator finds in content security policies: for each argument a list of severities, each with the source.
//
//     node csp.mjs <policy>...

import { Version } from "csp_evaluator/dist/csp.js";
import { CspEvaluator } from "csp_evaluator/dist/evaluator.js";
import { CspParser } from "csp_evaluator/dist/parser.js";

const findings = process.argv.slice(2).map((policy) => {
  const found = new CspEvaluator(new CspParser(policy).csp, Version.CSP3).evaluate();
  return found.map(({ severity, directive, value, description }) => [severity, `${directive} ${value}: ${description}`]);
});
console.log(JSON.stringify(findings));
