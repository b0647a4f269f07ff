/** What a template is parsed to. */

interface At {
  readonly line: number;
}
export type Expression = At &
  (
    | { readonly kind: 'const'; readonly value: string | number | bigint | boolean | null }
    | { readonly kind: 'name'; readonly name: string }
    | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
    | { readonly kind: 'dict'; readonly pairs: readonly (readonly [Expression, Expression])[] }
    | {
        readonly kind: 'if';
        readonly test: Expression;
        readonly then: Expression;
        readonly otherwise: Expression | undefined;
      }
    | { readonly kind: 'or' | 'and'; readonly left: Expression; readonly right: Expression }
    | { readonly kind: 'not'; readonly of: Expression }
    | {
        readonly kind: 'compare';
        readonly first: Expression;
        readonly rest: readonly (readonly [string, Expression])[];
      }
    | {
        readonly kind: 'binary';
        readonly sign: string;
        readonly left: Expression;
        readonly right: Expression;
      }
    | { readonly kind: 'unary'; readonly sign: string; readonly of: Expression }
    | { readonly kind: 'concat'; readonly parts: readonly Expression[] }
    | { readonly kind: 'attribute'; readonly of: Expression; readonly name: string }
    | { readonly kind: 'item'; readonly of: Expression; readonly key: Expression }
    | { readonly kind: 'slice'; readonly parts: readonly (Expression | undefined)[] }
    | { readonly kind: 'call'; readonly of: Expression; readonly args: Arguments }
    | {
        readonly kind: 'filter' | 'test';
        readonly name: string;
        readonly of: Expression | undefined;
        readonly args: Arguments;
      }
  );

export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  readonly star: Expression | undefined;
  readonly stars: Expression | undefined;
}

export type Target = At &
  (
    | { readonly kind: 'name'; readonly name: string }
    | { readonly kind: 'member'; readonly name: string; readonly attribute: string }
    | { readonly kind: 'tuple'; readonly items: readonly Target[] }
  );

export interface Signature {
  readonly parameters: readonly string[];
  /** Of the last parameters. */
  readonly defaults: readonly Expression[];
}

export type Statement = At &
  (
    | { readonly kind: 'data'; readonly text: string }
    | { readonly kind: 'print'; readonly values: readonly Expression[] }
    | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
    | {
        readonly kind: 'setblock';
        readonly target: Target;
        readonly filter: Expression | undefined;
        readonly body: Body;
      }
    | {
        readonly kind: 'for';
        readonly target: Target;
        readonly over: Expression;
        readonly test: Expression | undefined;
        readonly recursive: boolean;
        readonly body: Body;
        readonly otherwise: Body;
      }
    | {
        readonly kind: 'if';
        readonly cases: readonly (readonly [Expression, Body])[];
        readonly otherwise: Body;
      }
    | {
        readonly kind: 'with';
        readonly names: readonly (readonly [Target, Expression])[];
        readonly body: Body;
      }
    | { readonly kind: 'macro'; readonly name: string; readonly signature: Signature; readonly body: Body }
    | {
        readonly kind: 'callblock';
        readonly call: Expression;
        readonly signature: Signature;
        readonly body: Body;
      }
    | { readonly kind: 'filterblock'; readonly filter: Expression; readonly body: Body }
    | { readonly kind: 'generation'; readonly body: Body }
    | { readonly kind: 'break' | 'continue' }
  );
export type Body = readonly Statement[];
