/**
 * Calls of tools in what a model wrote, in the forms that the templates of the families teach: Hermes' and Qwen's
 * `<tool_call>{…}</tool_call>`, Llama 3's bare JSON with `parameters`, Mistral's list of calls. Which one it is goes by the template.
 */

/** A call as OpenAI's API has it, but for its id. */
export interface ToolCall {
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

export interface ReadCalls {
  /** What is said beside the calls. */
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

interface ToolForm {
  /** Whether a template teaches it. */
  readonly isTaught: (template: string) => boolean;
  /** What stands before the JSON of a call that has to come. */
  readonly opening: string;
  /** What the JSON calls the arguments. */
  readonly given: 'arguments' | 'parameters';
  /** Where calls may begin in a text; -1: nowhere so far. What stands before is said. */
  readonly begins: (text: string) => number;
  readonly read: (text: string) => ReadCalls | undefined;
}

const OPEN = '<tool_call>';

const FORMS: readonly ToolForm[] = [
  {
    isTaught: (template) => template.includes(OPEN),
    ...{ opening: `${OPEN}\n`, given: 'arguments' },
    begins: (text) => text.indexOf(OPEN),
    read(text) {
      const calls: ToolCall[] = [];
      const content = text.replace(/<tool_call>\s*([^]*?)\s*(?:<\/tool_call>|$)/g, (whole, inner: string) => {
        const found = callsIn(inner);
        calls.push(...(found ?? []));
        return found ? '' : whole;
      });
      return calls.length > 0 ? { content: content.trim(), calls } : undefined;
    },
  },
  // Of the other two nothing but calls stands in such an answer: their opening tokens are special ones, which are not part of a text.
  {
    isTaught: (template) => template.includes('[TOOL_CALLS]'),
    ...{ opening: '[TOOL_CALLS]', given: 'arguments' },
    begins: (text) => (/^\s*\[/.test(text) ? 0 : -1),
    read: (text) => alone(callsIn(text)),
  },
  {
    isTaught: (template) => template.includes('python_tag') || template.includes('"parameters"'),
    ...{ opening: '', given: 'parameters' },
    begins: (text) => (/^\s*\{/.test(text) ? 0 : -1),
    read: (text) => alone(callsIn(text)),
  },
];

/** The form that a chat template teaches; undefined: none that is known. */
export function toolFormOf(template: string): ToolForm | undefined {
  return FORMS.find(({ isTaught }) => isTaught(template));
}

/** A tool as a request has it, as far as its calls go. */
export interface CalledTool {
  readonly name: string;
  /** A JSON Schema; absent: it takes nothing. */
  readonly parameters?: object | undefined;
}

/** A call that has to come: what the answer is begun with, and what the rest of it is to be. */
export interface ForcedCall {
  readonly begun: string;
  /** A JSON Schema. */
  readonly schema: object;
  readonly reader: () => AnswerReader;
}

/** A call of one of the tools, as a template teaches it; of a template that teaches none, a bare object. */
export function forcedCall(template: string, tools: readonly CalledTool[]): ForcedCall {
  const { opening, given } = toolFormOf(template) ?? { opening: '', given: 'arguments' };
  const call = ({ name }: CalledTool, number: number): object => ({
    type: 'object',
    properties: { name: { const: name }, [given]: { $ref: `#/$defs/${number}` } },
    ...{ required: ['name', given], additionalProperties: false },
  });
  const definitions = tools.map(({ parameters }, number) => [
    number,
    moved(parameters ?? NOTHING, `#/$defs/${number}`) as object,
  ]);
  const calls = tools.map(call);
  const schema = {
    ...(calls.length === 1 ? calls[0] : { anyOf: calls }),
    $defs: Object.fromEntries(definitions) as object,
  };
  return { begun: opening, schema, reader: () => new ForcedCallReader() };
}

const NOTHING = { type: 'object', properties: {}, additionalProperties: false };

/** Keywords whose values are no schemas. */
const VALUES: readonly string[] = ['const', 'enum', 'default', 'examples'];

/** A schema whose references to itself lead to where it stands now. */
function moved(schema: unknown, to: string): unknown {
  if (Array.isArray(schema)) return schema.map((one) => moved(one, to));
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]: [string, unknown]) => {
      if (key === '$ref' && typeof value === 'string') return [key, value.replace(/^#/, to)];
      return [key, VALUES.includes(key) ? value : moved(value, to)];
    }),
  );
}

/** Reads an answer that may call tools, while it grows. */
export interface AnswerReader {
  /** @returns what of it is said for sure */
  push(more: string): string;
  /** @returns what is said besides what was told, and the calls */
  end(): ReadCalls;
}

/** Of an answer that is a call; of one that was cut off, nothing but its text is left. */
class ForcedCallReader implements AnswerReader {
  private text = '';

  push(more: string): string {
    this.text += more;
    return '';
  }

  end(): ReadCalls {
    return alone(callsIn(this.text)) ?? { content: this.text, calls: [] };
  }
}

/** Of one that may call tools or not. */
export class ToolCallReader implements AnswerReader {
  private text = '';
  private told = 0;

  /** @param isAlone whether an answer has one call at the most */
  constructor(
    private readonly form: ToolForm,
    private readonly isAlone = false,
  ) {}

  push(more: string): string {
    this.text += more;
    const at = this.form.begins(this.text);
    // What may be the beginning of an opening waits.
    const end = at >= 0 ? at : this.text.length - openingAtEnd(this.text);
    const said = this.text.slice(this.told, Math.max(this.told, end));
    this.told += said.length;
    return said;
  }

  end(): ReadCalls {
    const rest = this.text.slice(this.told);
    const read = this.form.read(rest) ?? { content: rest, calls: [] };
    return this.isAlone ? { ...read, calls: read.calls.slice(0, 1) } : read;
  }
}

function openingAtEnd(text: string): number {
  for (let n = Math.min(text.length, OPEN.length - 1); n > 0; n--)
    if (text.endsWith(OPEN.slice(0, n))) return n;
  return 0;
}

const alone = (calls: readonly ToolCall[] | undefined): ReadCalls | undefined =>
  calls && { content: '', calls };

/** The calls of a text that is nothing but calls: an object, a list of them, or several one after the other. */
function callsIn(text: string): ToolCall[] | undefined {
  const whole = parsed(text);
  const parts =
    whole === undefined
      ? text
          .split(/;\s*(?=\{)|\n+/)
          .filter((part) => part.trim() !== '')
          .map(parsed)
      : [whole].flat();
  const calls = parts.map(callOf);
  return calls.length > 0 && calls.every((call) => call !== undefined) ? calls : undefined;
}

function callOf(value: unknown): ToolCall | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { function: inner, ...outer } = value as Readonly<Record<string, unknown>>;
  const { name, arguments: given, parameters } = (inner ?? outer) as Readonly<Record<string, unknown>>;
  const wanted = given ?? parameters ?? {};
  if (typeof name !== 'string') return undefined;
  return { name, arguments: typeof wanted === 'string' ? wanted : JSON.stringify(wanted) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
