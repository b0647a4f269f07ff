"""Writes templates.json: templates of our own and what jinja2 3.1.6 makes of them with the settings of transformers. `None` is an error."""
import copy, json, random
import jinja2, jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

assert jinja2.__version__ == "3.1.6"


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception

context = {
    "messages": [
        {"role": "user", "content": "Hi <b>", "n": 2},
        {"role": "assistant", "content": "  ok\n", "n": 5, "tool_calls": [{"name": "f", "arguments": {"x": 1, "y": [True, None]}}]},
        {"role": "user", "content": ""},
    ],
    "tools": None,
    "text": "one two three",
    "nested": {"a": {"b": [1, {"c": None}]}, "f": 1.5, "items": "own"},
}

values = r"""none|true|false|0|1|-3|7|2.5|-0.0|1e20|1.0|1e-5|''|'abc'|'Hello World'|'a,b,,c'|'  x y  '|'42'|'3.7'|'ÄÖß🙂'|'it\'s'|'a\nb\n\nc'|'<b>&"'|[]|[3,1,2]|['b','A','c']|[1,'a',none]|{}|{'b':1,'a':2}|{'role':'user','n':3}|(1,2)|(1,)|()|range(4)|undef|messages|messages[0]|messages[1].content|text|nested|'\ufeffx\x85'|'aXbXc'|'ΑΣ'""".split("|")
filters = """abs;batch(2)|list;batch(2,0)|list;capitalize;center(9);count;default("d");default("d",true);dictsort;dictsort(by="value");dictsort(reverse=true);e;first;float;float(1.5);indent;indent(2,true);indent("> ",first=true,blank=true);int;int(9);items|list;join;join(",");last;length;list;lower;map("upper")|list;map(attribute="role")|list;map(attribute="x",default=0)|list;max;min;reject|list;rejectattr("role")|list;replace("a","b");replace("X","--",1);reverse|list;round;round(1);round|int;safe;select|list;select("string")|list;selectattr("role","equalto","user")|list;slice(2)|list;sort;sort(reverse=true);sort(attribute="role");string;sum;title;tojson;tojson(indent=2);tojson(ensure_ascii=true);tojson(sort_keys=true);tojson(separators=(",",":"));trim;trim("a");truncate(3);truncate(8);unique|list;upper;urlencode;wordcount;groupby("role")|list;attr("role");nope;length > 1""".split(";")
tests = """defined;undefined;none;boolean;true;false;integer;float;number;string;mapping;sequence;iterable;callable;lower;upper;odd;even;divisibleby 2;eq 1;equalto("abc");ne none;gt 1;lt(2);in [1,2,"abc"];in "abcdef";nope;not none;not defined""".split(";")
operators = "+ - * / // % ~ == != < <= > >= and or in;not in".replace(";", " ").replace("not in", "not;in").split(" ")
members = r"""upper();lower();strip();lstrip("a ");rstrip("\n");split();split(",");split(",",1);rsplit(",",1);split(none,1);splitlines();startswith("a");startswith(("a","H"));endswith("c");replace("a","b");title();find("b");rfind("X");count("X");join(["a","b"]);zfill(5);ljust(6);rjust(6,"*");center(7,"*");partition(",");isdigit();isalpha();isspace();isupper();removeprefix("a");format(1,2);items();keys();get("role");get("zz","q");get("zz");append(1);pop();index(1);count(1);nope();role;x;items;0""".split(";")
subscripts = '[0];[-1];[1:];[:-1];[::-1];[1:10:2];["role"];["x"];[none];[10];[-2:]'.split(";")

made = []
for v in values:
    made += [f"{{{{ ({v})|{f} }}}}" for f in filters] + [f"{{{{ ({v}) is {t} }}}}" for t in tests]
    made += [f"{{{{ ({v}).{m} }}}}" for m in members] + [f"{{{{ ({v}){s} }}}}" for s in subscripts]
    made += [f"{{{{ ({v}) {o.replace(';', ' ')} ({w}) }}}}" for o in operators for w in values]
    made += [f"{{{{ {v} }}}}", f"{{{{ [{v}] }}}}", f"{{{{ -({v}) }}}}", f"{{{{ '%s|%r' % ({v}, {v}) }}}}", f"{{{{ '%d' % ({v}) }}}}", f"{{{{ '%.2f' % ({v}) }}}}", f"{{{{ '{{:>6}}|{{!r}}'.format({v}, {v}) }}}}"]
    made += [f"{{% for x in ({v}) %}}{{{{ loop.index }}}}{{{{ x }}}}{{% if not loop.last %}},{{% endif %}}{{% else %}}E{{% endfor %}}"]
made = random.Random(7).sample(made, 2500)

written = [
    "\ufeff a\u0085\r\nb\rc\n",
    "{% if tools is defined %}{{ tools | tojson }}{% endif %}{{ tools is none }}{{ tools == none }}",
    "a\r\n{% if true %}\r\n  b\r\n{% endif %}\r\nc\r\n",
    "  {% if true %}  x  {% endif %}  \n  {#- c -#}  y {{- 1 -}}  z\n\n",
    "\n{%- if true -%}\n a \n{%- endif -%}\n",
    "{%+ if true +%}\n x\n{%+ endif %}\ny",
    "{% raw %}{{ x }}{% y %}{% endraw %}\nz {%- raw -%}  q {% endraw -%}  w",
    "{{ '\\u00e9\\x41\\101\\n\\'' }}{{ \"a\" 'b' }}{{ 0x1F }}{{ 0b11 }}{{ 0o17 }}{{ 1_000 }}{{ 1e3 }}{{ 1.5e-3 }}",
    "{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(a=1, b=[]) %}{% for i in [1,2,3] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.c is defined }}",
    "{% for i in range(6) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [1,2,3] if i != 2 %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.revindex }}{{ loop.cycle('a','b') }}{{ loop.changed(i > 1) }}{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for m in nested.a.b recursive %}{{ loop.depth }}{% if m is mapping %}{{ loop([9]) }}{% else %}{{ m }}{% endif %}{% endfor %}",
    "{% macro f(a, b=2, *args) %}{% endmacro %}",
    "{% macro f(a, b=2) %}[{{ a }}{{ b }}{{ varargs }}{{ kwargs }}]{% endmacro %}{{ f(1) }}{{ f(1, 3, 4, c=5) }}{{ f(b=1) }}{{ f.name }}{{ f.arguments }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f() %}<{{ caller(3) }}>{% endmacro %}{% call(x) f() %}in {{ x }}{% endcall %}",
    "{% macro f() %}{{ y }}{% endmacro %}{% set y = 4 %}{{ f() }}",
    "{% filter upper %}a{{ text }}{% endfilter %}{% set z | trim %}  q {% endset %}[{{ z }}]{% set z %} r {% endset %}[{{ z }}]",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% generation %}{{ text }}{% set u = 1 %}{% endgeneration %}{{ u is defined }}",
    "{{ 1 if false }}{{ 'a' if true else 'b' }}{{ (1 if false) is defined }}",
    "{{ 3 > 2 > 1 }}{{ not 1 == 2 }}{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}",
    "{{ [1, 2, 3] | map('string') | join('-') }}{{ messages | selectattr('role', 'eq', 'user') | map(attribute='content') | list }}",
    "{% set it = messages | map(attribute='role') %}{{ it | list }}{{ it | list }}",
    "{{ nested.items }}{{ nested['items'] }}{{ nested.a.b[1].c }}{{ nested.a.b.1.c }}",
    "{{ raise_exception('no') }}", "{{ x.y }}", "{{ x }}", "{{ x + 1 }}", "{{ [].append(1) }}", "{{ range(1000000) }}", "{{ ''.__class__ }}",
    "{{ ''.__class__.x }}", "{% if %}", "{{ a b }}", "{% endif %}", "{{ 'a", "{% for x in %}{% endfor %}", "{{ {% }}", "{# a",
    "{{ dict(a=1) }}{{ cycler(1, 2).next() }}{% set j = joiner('|') %}{{ j() }}{{ j() }}",
    "{{ {1: 'a', 1.0: 'b', true: 'c'} }}{{ {'a': {'b': (1, [2])}} | tojson }}",
    "{{ 'a\tb' | tojson }}{{ 1.0 | tojson }}{{ 1e100 | tojson }}{{ '\\u2028é\\x7f' | tojson }}",
    "{{ '%-5s|%05d|%+d|%x|%5.1f|%%' % ('ab', 42, 7, 255, 3.14159) }}{{ '%(a)s' % {'a': 1} }}",
    "{{ '{0}{1}{0}{x}{y[0]}{{}}'.format(1, 2, x=3, y=[4]) }}{{ '{:<5}|{:^5}|{:>5}|{:05.1f}|{:+d}|{:x}|{:,}'.format('a', 'b', 'c', 2.345, 3, 255, 1234567) }}",
    "{{ 0.1 + 0.2 }}{{ 1e16 }}{{ 1e15 }}{{ 1e-4 }}{{ 1e-5 }}{{ 123456789012345678901234567890 }}{{ 5.0 }}",
    "{{ 2.5 | round }}{{ 3.5 | round }}{{ 2.675 | round(2) }}{{ 0.5 | round | int }}",
]
cases = []
for source in made + written:
    try:
        text = environment.from_string(source).render(**copy.deepcopy(context))
    except Exception:
        text = None
    if text is None or " at 0x" not in text:
        cases.append([source, text])
with open("templates.json", "w") as out:
    json.dump({"context": context, "cases": cases}, out, ensure_ascii=True, separators=(",", ":"))
