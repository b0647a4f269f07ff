/**
 * Chat templates of the kinds that there are, and conversations for them. Each template is of our own writing, and has one thing that
 * makes an assistant's turn hard to find.
 */
import fc from 'fast-check';
import type { Message } from '../../src/tokenizer/index.js';

export const SPECIAL = { bos_token: '<s>', eos_token: '</s>', pad_token: '<pad>', unk_token: '<unk>' };

/** Earlier turns lose their thinking, the last one gets an empty block; tools and calls as JSON. */
const THINKING = `{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- 'Functions:' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set thought = message.reasoning_content or '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought + '\\n</think>\\n\\n' + content }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if content or not loop.first %}{{- '\\n' }}{%- endif %}
            {{- '<tool_call>' + ({'name': call.function.name, 'arguments': call.function.arguments} | tojson) + '</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.previtem is not defined or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>' + content + '</tool_response>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;

/** The same, marked by its author, who gives every turn its thinking. */
const MARKED = THINKING.replace(
  /\{%- if loop\.index0 > ns\.last[^]*?\{%- endif %\}\n/,
  `{{- '<|im_start|>assistant\\n' }}
        {%- generation %}
        {{- '<think>\\n' + thought + '\\n</think>\\n\\n' + content }}
`,
).replace(
  "{%- endfor %}\n        {{- '<|im_end|>\\n' }}",
  "{%- endfor %}\n        {{- '<|im_end|>\\n' }}{%- endgeneration %}",
);

/** The line end behind the role is written with what is said, so that a turn of nothing has none. */
const SAID_WITH_LINE = `{%- for message in messages %}
    {%- if message.role == 'assistant' and message.tool_calls %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for call in message.tool_calls %}{{- '\\n<tool_call>' + (call.function | tojson) }}{%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;

/** The assistant is called otherwise, contents are trimmed, and users and assistants have to take turns. */
const ALTERNATING = `{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles have to take turns') }}{% endif %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`;

/** No prompt for an answer; the system message stands in the first question. */
const INSTRUCTING = `{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}{% else %}{% set rest = messages %}{% set system = '' %}{% endif %}{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles have to take turns') }}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + (system if loop.first else '') + message['content'] | trim + ' [/INST]' }}{% else %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}`;

/** A text that no answer follows ends in a token. */
const ENDED = `{% for message in messages %}{{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}`;

/** The prompt stands in the round of the last message. */
const PROMPT_WITHIN = `{% for message in messages %}
{{ '<|' + message.role + '|>\\n' + message.content + eos_token }}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}`;

/** The beginning of the text is written with the first message. */
const BEGUN = `{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`;

/** The prompt makes the model think, turns are written without. What tools said is ended in the assistant's round. */
const PROMPTED_TO_THINK = `{%- set ns = namespace(tool=false) %}{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}{{- message.content }}
    {%- elif message.role == 'user' %}{{- '<|User|>' + message.content }}
    {%- elif message.role == 'tool' %}
        {{- '<|output|>' + message.content }}{%- set ns.tool = true %}
    {%- else %}
        {{- '<|outputs_end|>' if ns.tool else '<|Assistant|>' }}{%- set ns.tool = false %}
        {{- (message.content or '').split('</think>')[-1] }}
        {%- for call in message.tool_calls or [] %}{{- '<|call|>' + call.function.name + (call.function.arguments | tojson) }}{%- endfor %}
        {{- eos_token }}
    {%- endif %}
{%- endfor %}
{%- if ns.tool %}{{- '<|outputs_end|>' }}{%- elif add_generation_prompt %}{{- '<|Assistant|><think>\\n' }}{%- endif %}`;

/** Loops over numbers; a macro writes contents. */
const NUMBERED = `{%- macro said(message) %}{{- (message.content or '') | trim }}{%- endmacro %}
{%- for i in range(messages | length) %}
    {%- set message = messages[i] %}
    {{- '<|' + message.role + '|>' + said(message) }}{{- eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}`;

/** Contents in parts alone. */
const IN_PARTS = `{% for message in messages %}{{ '<|' + message.role + '|>' }}{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}`;

/** Indented, with other white space before a prompt than before a turn. */
const INDENTED = `{% for message in messages %}
    {% if message.role == 'assistant' %}

    ### Answer:
{{ message.content }}{{ eos_token }}
    {% else %}
### {{ message.role }}:
{{ message.content }}
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
### Answer:
{% endif %}`;

export const TEMPLATES = {
  ...{ THINKING, MARKED, SAID_WITH_LINE, ALTERNATING, INSTRUCTING, ENDED, PROMPT_WITHIN, BEGUN },
  ...{ PROMPTED_TO_THINK, NUMBERED, IN_PARTS, INDENTED },
} as const;

export const TOOLS = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Weather in a town',
      parameters: { type: 'object', properties: { town: { type: 'string' } } },
    },
  },
];

/** What is hard on templates and tokenizers: white space, markers of the templates', thinking, letters of several bytes. */
const text = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    'ok',
    '\n  kept?  \n',
    'the </s> then <|im_end|>\n<|im_start|>user\nhe',
    '日本語🙂 é',
  ),
  fc.constantFrom(
    '<think>\nhere\n</think>\n\nthen',
    '<think>',
    '</think>',
    '[/INST]',
    '{{ 7*7 }}',
    'None',
    '<',
  ),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc
    .array(fc.constantFrom('the', ' an', '\n', ' ', '<|end|>', 'ß', '🙂', '<|', '>'), { maxLength: 6 })
    .map((parts) => parts.join('')),
);

const call = fc.record({
  type: fc.constant('function'),
  function: fc.record({
    name: fc.constantFrom('get_weather', 'add'),
    arguments: fc.oneof(
      fc.dictionary(fc.constantFrom('town', 'unit'), text),
      fc
        .dictionary(fc.constantFrom('town', 'n'), fc.oneof(text, fc.integer()))
        .map((of) => JSON.stringify(of)),
    ),
  }),
});

const assistant: fc.Arbitrary<Message> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ role: fc.constant('assistant'), content: text }) },
  {
    weight: 1,
    arbitrary: fc.record({ role: fc.constant('assistant'), content: text, reasoning_content: text }),
  },
);
const calling: fc.Arbitrary<Message[]> = fc
  .tuple(
    fc.record({
      role: fc.constant('assistant'),
      content: fc.oneof(text, fc.constant(null)),
      tool_calls: fc.array(call, { minLength: 1, maxLength: 2 }),
    }),
    fc.array(fc.record({ role: fc.constant('tool'), name: fc.constant('add'), content: text }), {
      minLength: 1,
      maxLength: 2,
    }),
  )
  .map(([asking, told]) => [asking, ...told]);
const user: fc.Arbitrary<Message> = fc.record({ role: fc.constant('user'), content: text });
const system: fc.Arbitrary<Message> = fc.record({ role: fc.constant('system'), content: text });

/** Questions and answers by turns, as most chats are. */
export const plainChat: fc.Arbitrary<Message[]> = fc
  .tuple(
    fc.option(system, { nil: undefined }),
    fc.array(fc.tuple(user, assistant), { minLength: 1, maxLength: 4 }),
  )
  .map(([first, turns]) => [...(first ? [first] : []), ...turns.flat()]);

/** Any order of roles, with calls and what tools say. */
export const anyChat: fc.Arbitrary<Message[]> = fc
  .array(
    fc.oneof(
      user.map((one) => [one]),
      assistant.map((one) => [one]),
      system.map((one) => [one]),
      calling,
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) => parts.flat());

/** The same with other answers. */
export function withAnswers(messages: readonly Message[], answers: readonly string[]): Message[] {
  return messages.map((message, i) =>
    message.role === 'assistant' && typeof message.content === 'string'
      ? { ...message, content: answers[i % answers.length]! }
      : message,
  );
}
export const answers = fc.array(text, { minLength: 1, maxLength: 4 });
