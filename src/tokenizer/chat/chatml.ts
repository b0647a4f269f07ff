/**
 * ChatML, for a base model that brings no template: the form that OpenAI described, and that many templates follow. It knows no tools, and
 * says so rather than leave them out.
 */
export const CHATML = `{%- if tools %}
    {{- raise_exception('ChatML has no place for tools; give a template that has') }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' }}
    {%- if message['tool_calls'] %}
        {{- raise_exception('ChatML has no place for tool calls; give a template that has') }}
    {%- elif message['role'] == 'assistant' %}
        {%- generation %}
            {{- message['content'] + '<|im_end|>\\n' }}
        {%- endgeneration %}
    {%- else %}
        {{- message['content'] + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
`;
