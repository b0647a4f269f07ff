/** Chat templates: what jinja2 3.1.6 renders, or a refusal by name; and limits. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ChatTemplate } from '../../src/tokenizer/index.js';
import { UserError } from '../../src/util/errors.js';

const { context, cases } = JSON.parse(readFileSync('test/golden/chat/templates.json', 'utf8')) as {
  context: Record<string, unknown>;
  cases: [template: string, text: string | null][];
};

const render = (source: string, values: Record<string, unknown> = context): string =>
  new ChatTemplate(source, 'a.jinja').render(values);

function fails(source: string, what: RegExp, limit?: number): void {
  assert.throws(
    () => new ChatTemplate(source, 'a.jinja').render(context, { limit }),
    (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, what);
      assert.ok(!error.message.includes('\n'));
      return true;
    },
  );
}

describe('ChatTemplate', () => {
  it('renders as jinja2 does, or names what it does not', () => {
    let refused = 0;
    for (const [source, text] of cases) {
      try {
        assert.equal(render(source), text, source);
      } catch (error) {
        assert.ok(error instanceof UserError, `${source}: ${String(error)}`);
        if (text === null) continue;
        assert.match(error.message, /is not supported here/, source);
        refused++;
      }
    }
    assert.ok(refused < cases.length / 100, `${refused} of ${cases.length} are refused`);
  });

  it('tells None from what is not there', () => {
    const source = '{% if tools is defined %}D{% endif %}{% if tools is none %}N{% endif %}';
    assert.equal(render(source, { tools: null }), 'DN');
    assert.equal(render(source, {}), '');
  });

  it('tells the time by every code of strftime', () => {
    const now = new Date(2026, 10, 7, 15, 4, 5, 678);
    const format =
      '%a|%A|%b|%B|%c|%C|%d|%D|%e|%f|%F|%g|%G|%h|%H|%I|%j|%k|%l|%m|%M|%p|%P|%r|%R|%S|%T|%u|%U|%V|%w|%W|%x|%X|%y|%Y|%z|%Z|%%|%-d|%_d|%-I|%^a|%q';
    const wanted =
      'Sat|Saturday|Nov|November|Sat Nov  7 15:04:05 2026|20|07|11/07/26| 7|678000|2026-11-07|26|2026|Nov|15|03|311|15| 3|11|04|PM|pm|03:04:05 PM|15:04|05|15:04:05|6|44|45|6|44|11/07/26|15:04:05|26|2026|||%|7| 7|3|SAT|%q';
    const template = new ChatTemplate(`{{ strftime_now(${JSON.stringify(format)}) }}`, 'a.jinja');
    assert.equal(template.render({}, { now }), wanted);
  });

  it("names a fault's line", () => {
    fails('a\n{% for m in messages %}\n{{ m.content.upper().foo.bar }}\n{% endfor %}', /^a\.jinja, line 3: /);
    fails(
      'a\nb\n{{ raise_exception("only " ~ "poems") }}',
      /^a\.jinja: .*refuses these messages: only poems/,
    );
    assert.throws(() => render('a\n{% if %}'), /^UserError: a\.jinja, line 2: .*cannot be parsed/);
    assert.throws(() => render('{% include "x" %}'), /'include' is not for chat templates/);
  });

  it('ends what runs without end', () => {
    const long = 'range(100000)';
    fails(
      `{% for i in ${long} %}{% for j in ${long} %}{% endfor %}{% endfor %}`,
      /line 1: .*without end/,
      50,
    );
    fails(`{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}`, /without end/);
    fails(
      `{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
      /million/,
    );
    fails(
      `{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}`,
      /bits/,
    );
    fails(`{{ range(10**9) }}`, /Range too big/);
    fails(`{{ 'a' * 10**9 }}`, /million/);
    fails('('.repeat(3) + '{{ ' + '('.repeat(100_000) + '1' + ')'.repeat(100_000) + ' }}', /without end/);
  });
});
