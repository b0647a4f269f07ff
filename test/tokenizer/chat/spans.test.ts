/** Which of a rendered conversation the assistant says, for templates of every kind; and what is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CHATML,
  ChatRenderer,
  ChatTemplate,
  type ChatOptions,
  type Message,
} from '../../../src/tokenizer/index.js';
import { UserError } from '../../../src/util/errors.js';
import { SPECIAL, TEMPLATES, TOOLS } from '../../support/chat-templates.js';

type Turn = readonly [role: string, content: string];

const messagesOf = (turns: readonly Turn[]): Message[] => turns.map(([role, content]) => ({ role, content }));

/** The text, with each span between ⟦ and ⟧. */
function shown(template: string, messages: readonly Message[], options: ChatOptions = {}): string {
  const { text, spans } = new ChatRenderer(new ChatTemplate(template, 'a.jinja'), SPECIAL).render(
    messages,
    options,
  );
  let [out, at] = ['', 0];
  for (const { start, end, turn, message } of spans) {
    assert.ok(at <= start && start < end && end <= text.length);
    assert.ok(turn.start <= start && end <= turn.end);
    assert.equal(messages[message]!.role, 'assistant');
    out += `${text.slice(at, start)}⟦${text.slice(start, end)}⟧`;
    at = end;
  }
  return out + text.slice(at);
}

function refused(
  template: string,
  messages: readonly Message[],
  what: RegExp,
  options: ChatOptions = {},
): void {
  assert.throws(
    () => shown(template, messages, options),
    (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, what);
      assert.ok(!error.message.includes('\n'));
      return true;
    },
  );
}

const TWO = messagesOf([
  ['user', 'Hi'],
  ['assistant', 'Hello! '],
  ['user', 'And?'],
  ['assistant', 'Bye'],
]);
const CALL: Message[] = [
  { role: 'user', content: 'Oslo?' },
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ type: 'function', function: { name: 'get_weather', arguments: { town: 'Oslo' } } }],
  },
  { role: 'tool', content: '-3' },
  { role: 'assistant', content: 'Cold.' },
];

describe('spans of templates', () => {
  const wanted: Readonly<Record<keyof typeof TEMPLATES, string>> = {
    THINKING:
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n⟦Hello! <|im_end|>\n⟧<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n⟦<think>\n\n</think>\n\nBye<|im_end|>\n⟧',
    MARKED:
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n⟦<think>\n\n</think>\n\nHello! <|im_end|>\n⟧<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n⟦<think>\n\n</think>\n\nBye<|im_end|>\n⟧',
    SAID_WITH_LINE:
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant⟦\nHello! <|im_end|>\n⟧<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant⟦\nBye<|im_end|>\n⟧',
    ALTERNATING:
      '<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n⟦Hello!<end_of_turn>\n⟧<start_of_turn>user\nAnd?<end_of_turn>\n<start_of_turn>model\n⟦Bye<end_of_turn>\n⟧',
    INSTRUCTING: '<s>[INST] Hi [/INST]⟦ Hello! </s>⟧<s>[INST] And? [/INST]⟦ Bye </s>⟧',
    ENDED:
      '<|user|>\nHi<|end|>\n<|assistant|>\n⟦Hello! <|end|>\n⟧<|user|>\nAnd?<|end|>\n<|assistant|>\n⟦Bye<|end|>\n</s>⟧',
    PROMPT_WITHIN:
      '<|user|>\nHi</s>\n<|assistant|>\n⟦Hello! </s>\n⟧<|user|>\nAnd?</s>\n<|assistant|>\n⟦Bye</s>\n⟧',
    BEGUN:
      '<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n⟦Hello!<|eot_id|>⟧<|start_header_id|>user<|end_header_id|>\n\nAnd?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n⟦Bye<|eot_id|>⟧',
    PROMPTED_TO_THINK: '<s><|User|>Hi<|Assistant|>⟦Hello! </s>⟧<|User|>And?<|Assistant|>⟦Bye</s>⟧',
    NUMBERED: '<|user|>Hi</s><|assistant|>⟦Hello!</s>⟧<|user|>And?</s><|assistant|>⟦Bye</s>⟧',
    INDENTED:
      '### user:\nHi\n\n    ### Answer:\n⟦Hello! </s>\n⟧### user:\nAnd?\n\n    ### Answer:\n⟦Bye</s>\n⟧',
    IN_PARTS: '<|user|>Hi<|end|><|assistant|>⟦Hello! <|end|>⟧<|user|>And?<|end|><|assistant|>⟦Bye<|end|>⟧',
  };
  for (const [name, template] of Object.entries(TEMPLATES))
    it(name, () => {
      assert.equal(shown(template, TWO), wanted[name as keyof typeof TEMPLATES]);
    });

  it('ChatML marks them itself', () => {
    assert.equal(
      shown(CHATML, TWO.slice(0, 2), { addGenerationPrompt: true }),
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n⟦Hello! <|im_end|>\n⟧<|im_start|>assistant\n',
    );
    refused(CHATML, TWO, /ChatML has no place for tools; give a template that has/, { tools: TOOLS });
    refused(CHATML, CALL, /ChatML has no place for tool calls/);
  });

  it('go on before a generation prompt, without the end of a text', () => {
    assert.equal(
      shown(TEMPLATES.ENDED, TWO.slice(0, 2), { addGenerationPrompt: true }),
      '<|user|>\nHi<|end|>\n<|assistant|>\n⟦Hello! <|end|>\n⟧<|assistant|>\n',
    );
    assert.equal(
      shown(TEMPLATES.PROMPT_WITHIN, TWO.slice(0, 2), { addGenerationPrompt: true }),
      '<|user|>\nHi</s>\n<|assistant|>\n⟦Hello! </s>\n⟧<|assistant|>\n',
    );
  });

  it('have a first message that is an answer, behind what begins a text', () => {
    const first = messagesOf([
      ['assistant', 'Welcome.'],
      ['user', 'Thanks'],
    ]);
    assert.ok(
      shown(TEMPLATES.BEGUN, first).startsWith(
        '<s><|start_header_id|>assistant<|end_header_id|>\n\n⟦Welcome.<|eot_id|>⟧',
      ),
    );
    assert.ok(shown(TEMPLATES.THINKING, first).startsWith('<|im_start|>assistant\n⟦Welcome.<|im_end|>\n⟧'));
    assert.ok(shown(TEMPLATES.PROMPT_WITHIN, first).startsWith('<|assistant|>\n⟦Welcome.</s>\n⟧'));
    assert.ok(shown(TEMPLATES.PROMPTED_TO_THINK, first).startsWith('<s><|Assistant|>⟦Welcome.</s>⟧'));
    refused(
      TEMPLATES.ALTERNATING,
      first,
      /the chat template refuses these messages: Roles have to take turns/,
    );
  });

  it('have calls of tools, and not what tools say', () => {
    assert.equal(
      shown(TEMPLATES.THINKING, CALL),
      '<|im_start|>user\nOslo?<|im_end|>\n<|im_start|>assistant\n⟦<tool_call>{"name": "get_weather", "arguments": {"town": "Oslo"}}</tool_call><|im_end|>\n⟧' +
        '<|im_start|>user\n<tool_response>-3</tool_response><|im_end|>\n<|im_start|>assistant\n⟦<think>\n\n</think>\n\nCold.<|im_end|>\n⟧',
    );
    assert.equal(
      shown(TEMPLATES.SAID_WITH_LINE, CALL),
      '<|im_start|>user\nOslo?<|im_end|>\n<|im_start|>assistant⟦\n<tool_call>{"name": "get_weather", "arguments": {"town": "Oslo"}}<|im_end|>\n⟧' +
        '<|im_start|>tool\n-3<|im_end|>\n<|im_start|>assistant⟦\nCold.<|im_end|>\n⟧',
    );
    // What the prompt would end the outputs with is given, too.
    assert.equal(
      shown(TEMPLATES.PROMPTED_TO_THINK, CALL),
      '<s><|User|>Oslo?<|Assistant|>⟦<|call|>get_weather{"town": "Oslo"}</s>⟧<|output|>-3<|outputs_end|>⟦Cold.</s>⟧',
    );
  });

  it('have a thought where the template leaves it', () => {
    const thinking = messagesOf([
      ['user', '2+2?'],
      ['assistant', '<think>\nEasy.\n</think>\n\n4'],
      ['user', '3+3?'],
      ['assistant', '<think>\nToo.\n</think>\n\n6'],
    ]);
    assert.equal(
      shown(TEMPLATES.THINKING, thinking),
      '<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n⟦4<|im_end|>\n⟧<|im_start|>user\n3+3?<|im_end|>\n<|im_start|>assistant\n⟦<think>\nToo.\n</think>\n\n6<|im_end|>\n⟧',
    );
    assert.ok(
      shown(TEMPLATES.MARKED, thinking).includes('assistant\n⟦<think>\nEasy.\n</think>\n\n4<|im_end|>\n⟧'),
    );
  });

  it('are none where nobody answers', () => {
    const asked = TWO.slice(0, 1);
    assert.equal(shown(TEMPLATES.ENDED, asked), '<|user|>\nHi<|end|>\n</s>');
    assert.equal(shown(TEMPLATES.MARKED, asked), '<|im_start|>user\nHi<|im_end|>\n');
  });
});

describe('messages as templates take them', () => {
  it('parts of text become one text, but for templates that take parts', () => {
    const parts = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ];
    const messages = [{ role: 'user', content: parts }, ...TWO.slice(1, 2)];
    assert.ok(shown(TEMPLATES.ENDED, messages).startsWith('<|user|>\nab<|end|>'));
    assert.ok(shown(TEMPLATES.IN_PARTS, messages).startsWith('<|user|>ab<|end|>'));
    const takesBoth = `{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ '-' if not loop.first }}{{ p.text }}{% endfor %}{% endif %}<end>{% endfor %}`;
    assert.equal(shown(takesBoth, messages), 'a-b<end>⟦Hello! <end>⟧');
  });

  it('a part that is no text is refused by message and type', () => {
    const image = [{ type: 'image_url', image_url: { url: 'a.png' } }];
    refused(
      TEMPLATES.ENDED,
      [...TWO, { role: 'user', content: image }],
      /^message 5 \(user\) has a part of type 'image_url': a template gets text alone$/,
    );
  });

  it("a call's arguments may be JSON in a string", () => {
    const call = (args: unknown): Message[] => [
      TWO[0]!,
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ type: 'function', function: { name: 'add', arguments: args } }],
      },
    ];
    assert.equal(shown(TEMPLATES.THINKING, call('{"n":1}')), shown(TEMPLATES.THINKING, call({ n: 1 })));
    assert.equal(shown(TEMPLATES.THINKING, call('')), shown(TEMPLATES.THINKING, call({})));
    refused(
      TEMPLATES.THINKING,
      call('{n'),
      /^message 2 \(assistant\) calls 'add' with arguments that are not JSON$/,
    );
  });

  it('a content that is not there is not trained on as None', () => {
    const nothing: Message[] = [TWO[0]!, { role: 'assistant', content: null }];
    const why =
      /^a\.jinja: message 2 \(assistant\) cannot be told apart: it has no content, which the template writes as 'None'; give it/;
    refused(TEMPLATES.BEGUN, nothing, why);
    refused(
      `{% for m in messages %}{% generation %}{{ m.content | trim }}{% endgeneration %}{% endfor %}`,
      nothing,
      why,
    );
    assert.ok(shown(TEMPLATES.THINKING, nothing).endsWith('⟦<think>\n\n</think>\n\n<|im_end|>\n⟧'));
    assert.ok(
      shown(TEMPLATES.BEGUN, [TWO[0]!, { role: 'assistant', content: 'None' }]).endsWith('⟦None<|eot_id|>⟧'),
    );
  });
});

describe('what cannot be told apart is refused', () => {
  const loop = (body: string): string =>
    `{% for m in messages %}${body}{% endfor %}{% if add_generation_prompt %}A: {% endif %}`;
  const plain = "{{ 'A: ' if m.role == 'assistant' else 'U: ' }}{{ m.content }}{{ '\\n' }}";
  const cases: Readonly<Record<string, readonly [template: string, what: RegExp]>> = {
    'written by number, without a loop': [
      "U: {{ messages[0].content }}\nA: {{ messages[1].content }}\n{{ messages[2:] | map(attribute='content') | join }}",
      /message 2 \(assistant\) cannot be told apart: the template writes it not at all, outside of a loop over the messages/,
    ],
    'written in a block that is put elsewhere': [
      `{% set all %}${loop(plain)}{% endset %}{{ all | trim }}`,
      /message 2 \(assistant\) cannot be told apart: the template writes it not at all, outside of a loop/,
    ],
    'written twice': [
      loop(plain) + loop(plain),
      /message 2 \(assistant\) cannot be told apart: it is written in 2 places; mark what it writes/,
    ],
    'with what the user says in it': [
      loop(plain.replace('{{ m.content }}', '{{ m.content }}{{ messages[0].content }}')),
      /message 2 \(assistant\) cannot be told apart: what is written for it depends on what others say/,
    ],
    'with what another answer says': [
      loop(plain.replace('{{ m.content }}', '{{ m.content }}{{ (messages | last).content }}')),
      /message 2 \(assistant\) cannot be told apart: the text around it depends on what it says/,
    ],
    'of which others say how long it is': [
      loop(`${plain}{% if m.role == 'user' %}{{ (messages | last).content | length }}{% endif %}`),
      /message 2 \(assistant\) cannot be told apart: the text around it depends on what it says/,
    ],
  };
  for (const [name, [template, what]] of Object.entries(cases))
    it(name, () => {
      refused(template, TWO, what);
    });

  it('a template that takes no other answer', () => {
    const strict = loop(
      `{% if m.content not in ['Hi', 'Hello! ', 'And?', 'Bye'] %}{{ raise_exception('no') }}{% endif %}${plain}`,
    );
    refused(
      strict,
      TWO,
      /message 2 \(assistant\) cannot be told apart: with another answer in its place the template fails/,
    );
  });

  it('noncharacters', () => {
    const odd = messagesOf([
      ['user', 'a\ufdd0'],
      ['assistant', 'b'],
    ]);
    assert.ok(shown(TEMPLATES.ENDED, odd).includes('⟦b<|end|>'));
    refused(TEMPLATES.THINKING, [...odd, ...CALL], /noncharacters/);
  });

  it('marks that do not tell whose words they are', () => {
    const mark = '{% generation %}{{ m.content }}{% endgeneration %}';
    const call = `{% macro say(m) %}${mark}{% endmacro %}`;
    refused(`${call}${loop('{{ say(m) }}')}`, TWO, /\{% generation %\} stands within a macro or a block/);
    refused('{% generation %}x{% endgeneration %}', TWO, /stands outside of a loop over the messages/);
  });
});
