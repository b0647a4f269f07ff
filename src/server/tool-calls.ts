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
  /** Where calls may begin in a text; -1: nowhere so far. What stands before is said. */
  readonly begins: (text: string) => number;
  readonly read: (text: string) => ReadCalls | undefined;
}

const OPEN = '<tool_call>';

const FORMS: readonly ToolForm[] = [
  {
    isTaught: (template) => template.includes(OPEN),
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
    begins: (text) => (/^\s*\[/.test(text) ? 0 : -1),
    read: (text) => alone(callsIn(text)),
  },
  {
    isTaught: (template) => template.includes('python_tag') || template.includes('"parameters"'),
    begins: (text) => (/^\s*\{/.test(text) ? 0 : -1),
    read: (text) => alone(callsIn(text)),
  },
];

/** The form that a chat template teaches; undefined: none that is known. */
export function toolFormOf(template: string): ToolForm | undefined {
  return FORMS.find(({ isTaught }) => isTaught(template));
}

/** An answer that may call tools, while it grows. */
export class ToolCallReader {
  private text = '';
  private told = 0;

  constructor(private readonly form: ToolForm) {}

  /** @returns what of it is said for sure */
  push(more: string): string {
    this.text += more;
    const at = this.form.begins(this.text);
    // What may be the beginning of an opening waits.
    const end = at >= 0 ? at : this.text.length - openingAtEnd(this.text);
    const said = this.text.slice(this.told, Math.max(this.told, end));
    this.told += said.length;
    return said;
  }

  /** @returns what is said besides what was told, and the calls */
  end(): ReadCalls {
    const rest = this.text.slice(this.told);
    return this.form.read(rest) ?? { content: rest, calls: [] };
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
