/** Ollama's Modelfile (https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx): what `ollama create` makes a model of. */

/** In the order in which they are written. */
export interface Modelfile {
  /** A GGUF file, by its path from the Modelfile. */
  readonly from: string;
  readonly adapter?: string | undefined;
  /** Absent: what Ollama finds in the GGUF file. */
  readonly template?: string | undefined;
  readonly parameters: readonly (readonly [
    name: 'num_ctx' | 'temperature' | 'stop',
    value: number | string,
  ])[];
}

export function modelfileText({ from, adapter, template, parameters }: Modelfile): string {
  return [
    `FROM ${from}`,
    ...(adapter === undefined ? [] : [`ADAPTER ${adapter}`]),
    ...(template === undefined ? [] : [`TEMPLATE """${template}"""`]),
    ...parameters.map(
      ([name, value]) => `PARAMETER ${name} ${typeof value === 'string' ? quoted(value) : value}`,
    ),
    '',
  ].join('\n');
}

/** Ollama's quotes know no escapes. */
function quoted(text: string): string {
  return text.includes('"') ? `"""${text}"""` : `"${text}"`;
}
