/**
 * A chat template as Ollama has them, in the language of Go's text/template
 * (https://github.com/ollama/ollama/blob/main/docs/template.mdx). It is not translated: conversations are rendered by the model's own
 * template, what stands between their contents is taken, and longer conversations must come out of the result as the model's template has
 * them. So it is right for every template that lays turns one behind the other, whatever its name.
 */

import type { Message } from '../../tokenizer/index.js';
import { UserError } from '../../util/errors.js';

/** A conversation up to where the assistant begins to write. Throws UserError where the template refuses it. */
export type RenderChat = (messages: readonly Message[]) => string;

/** What stands around the contents of a conversation. */
export interface TurnForm {
  /** Before the first question, where there is no system message. */
  readonly first: string;
  /** Around a system message; what is behind it ends where the first question begins. */
  readonly system: readonly [before: string, behind: string];
  /** Behind a question; then what an answer begins with that was given, or one that is to come. */
  readonly asked: string;
  readonly given: string;
  readonly toCome: string;
  /** Behind an answer, up to where the next question begins. */
  readonly answered: string;
  /** Whether the template refuses system messages: one stands before the first question, as in Ollama's own templates. */
  readonly withoutSystem: boolean;
}

const say = (role: string, content: string): Message => ({ role, content });
/** Words that no template has, looks for or strips. */
const [SYSTEM, ...TURNS] = ['Nightjar', 'Sparrow', 'Heron', 'Wagtail', 'Kestrel', 'Plover'] as const;

function conversation(turns: number, system = false): Message[] {
  const said = TURNS.slice(0, turns).map((text, i) => say(i % 2 === 0 ? 'user' : 'assistant', text));
  return system ? [say('system', SYSTEM), ...said] : said;
}

/** undefined: the template does not lay turns one behind the other. */
export function turnForm(render: RenderChat): TurnForm | undefined {
  const pieces = (messages: readonly Message[]): string[] | undefined => {
    const words = messages.map(({ content }) => content as string);
    const found = render(messages).split(new RegExp(words.join('|')));
    return found.length === words.length + 1 ? found : undefined;
  };
  const [first, end] = pieces(conversation(1)) ?? [];
  const [, between, answered] = pieces(conversation(3)) ?? [];
  if (first === undefined || end === undefined || between === undefined || answered === undefined)
    return undefined;
  const asked = commonStart(end, between);
  const [toCome, given] = [end.slice(asked.length), between.slice(asked.length)];
  let system: TurnForm['system'] | undefined;
  let withoutSystem = false;
  try {
    const [before, behind] = pieces(conversation(1, true)) ?? [];
    if (before !== undefined && behind !== undefined) system = [before, behind];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    withoutSystem = true;
    system = [first, '\n\n'];
  }
  if (!system) return undefined;
  const form = { first, system, asked, given, toCome, answered, withoutSystem };
  const proven = [1, 3, 5].every((turns) =>
    [false, ...(withoutSystem ? [] : [true])].every((has) => {
      const messages = conversation(turns, has);
      return render(messages) === rendered(form, messages);
    }),
  );
  return proven ? form : undefined;
}

function commonStart(a: string, b: string): string {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return a.slice(0, n);
}

/** What the form makes of a conversation that ends in a question. */
function rendered(
  { first, system, asked, given, toCome, answered }: TurnForm,
  messages: readonly Message[],
): string {
  let text = '';
  let questions = 0;
  for (const { role, content } of messages) {
    const said = content as string;
    if (role === 'system') text += `${system[0]}${said}${system[1]}`;
    else if (role === 'user') {
      text += questions++ > 0 ? answered : text === '' ? first : '';
      text += said + asked;
    } else text += given + said;
  }
  return text + toCome;
}

/** The form as a template. `bos`: what llama.cpp puts before a prompt by itself. */
export function goTemplate({ first, system, asked, given, toCome, answered }: TurnForm, bos: string): string {
  const begin = (text: string): string => literal(text.startsWith(bos) ? text.slice(bos.length) : text);
  return [
    `{{ if .System }}${begin(system[0])}{{ .System }}${literal(system[1])}{{ else }}${begin(first)}{{ end }}`,
    '{{ $first := true }}{{ $asked := false }}{{ range .Messages }}',
    `{{ if eq .Role "user" }}{{ if $first }}{{ $first = false }}{{ else }}${literal(answered)}{{ end }}`,
    `{{ .Content }}${literal(asked)}{{ $asked = true }}`,
    `{{ else if eq .Role "assistant" }}${literal(given)}{{ .Content }}{{ $asked = false }}{{ end }}{{ end }}`,
    ...(toCome === '' ? [] : [`{{ if $asked }}${literal(toCome)}{{ end }}`]),
  ].join('');
}

/** Text as it stands in a template between triple quotes. */
function literal(text: string): string {
  return /\{\{|"/.test(text) ? `{{ ${JSON.stringify(text)} }}` : text;
}
