/** Chat templates for Ollama: conversations come out of the Go template as the model's own has them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { goTemplate, turnForm, type RenderChat } from '../../../src/export/ollama/chat-template.js';
import { CHATML, ChatTemplate, type Message } from '../../../src/tokenizer/index.js';
import { ollamaPrompt } from '../../support/go-template.js';

/** Templates of models as their folders have them, in short; what they begin with, and whether they refuse system messages. */
const TEMPLATES: Readonly<Record<string, string>> = {
  chatml: CHATML,
  'chatml with a system message of its own':
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a \"kind\" {{helper}}.<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  llama2:
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system != false %}{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
  llama3:
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
  mistral:
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}{% endif %}{% endfor %}",
  gemma:
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set prefix = messages[0]['content'] + '\\n\\n' %}{% set rest = messages[1:] %}{% else %}{% set prefix = '' %}{% set rest = messages %}{% endif %}{% for message in rest %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + (prefix if loop.first else '') + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
  'mistral 0.1':
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if m.role == 'user' %}{{ ' [INST] ' + (system + '\n\n' if loop.first and system is defined else '') + m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}",
  thinking:
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '</s>' }}{% endfor %}{{ '<|assistant|><think>' }}",
  zephyr:
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
};
const SPECIAL = { bos_token: '<s>', eos_token: '</s>' };

function renderOf(source: string): RenderChat {
  const template = new ChatTemplate(source, 'test');
  return (messages) =>
    template.render({ ...SPECIAL, messages, tools: null, documents: null, add_generation_prompt: true });
}

const SAID = [
  'What is 2 + 2?',
  'It is "4",\nas always.',
  '\u00bfY {{ 3 }}?',
  'Seis %} no.',
  'Why',
  'Because.',
  'Hm',
];
function conversation(turns: number, system?: string): Message[] {
  const said = SAID.slice(0, turns).map((content, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content,
  }));
  return system === undefined ? said : [{ role: 'system', content: system }, ...said];
}

describe('a chat template as Go has it', () => {
  for (const [name, source] of Object.entries(TEMPLATES))
    it(`${name}: the same prompts`, () => {
      const render = renderOf(source);
      const form = turnForm(render);
      assert.ok(form);
      assert.equal(form.withoutSystem, name === 'mistral');
      const template = goTemplate(form, '<s>');
      assert.doesNotMatch(template, /"""/);
      for (const turns of [1, 3, 5, 7])
        for (const system of [undefined, 'Be "brief".\nAlways.']) {
          if (system !== undefined && form.withoutSystem) continue;
          const messages = conversation(turns, system);
          const wanted = render(messages);
          const go = messages.map(({ role, content }) => ({ Role: role, Content: content as string }));
          // llama.cpp puts the BOS.
          const begins = wanted.startsWith('<s>') ? '<s>' : '';
          assert.equal(begins + ollamaPrompt(template, go), wanted);
        }
    });

  it('an answer that was begun goes on', () => {
    const template = goTemplate(turnForm(renderOf(CHATML))!, '');
    const messages = [
      { Role: 'user', Content: 'Hi' },
      { Role: 'assistant', Content: 'Hel' },
    ];
    assert.equal(
      ollamaPrompt(template, messages),
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHel',
    );
  });

  it('a system message that no template takes stands before the first question', () => {
    const template = goTemplate(turnForm(renderOf(TEMPLATES['mistral']!))!, '<s>');
    const messages = [
      { Role: 'system', Content: 'Be brief.' },
      { Role: 'user', Content: 'Hi' },
    ];
    assert.equal(ollamaPrompt(template, messages), '[INST] Be brief.\n\nHi [/INST]');
  });

  for (const [what, source] of [
    ['counts its turns', '{% for m in messages %}{{ loop.index }}: {{ m.content }}\n{% endfor %}'],
    ['repeats a content', '{% for m in messages %}{{ m.content }}, {{ m.content }}\n{% endfor %}'],
    ['says only the last', '{{ messages[-1].content }}'],
    [
      'has the system message last',
      "{% for m in messages %}{% if m.role == 'user' %}[{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content }} {% endif %}{{ m.content }}]{% elif m.role == 'assistant' %}{{ m.content }}{% endif %}{% endfor %}",
    ],
  ] as const)
    it(`none for one that ${what}`, () => {
      assert.equal(turnForm(renderOf(source)), undefined);
    });
});
