"""The forms that text in a configuration may have, and how each is said.

Rule: a pattern stands here once, beside the words an operator reads when text does not match it.
"""

PROVIDER_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"
HEADER_PREFIX = r"^[\x20-\x7e]{0,64}$"
BODY_FIELD = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"
DROPPED_FIELD = r"^[A-Za-z_][A-Za-z0-9_]{0,99}(\[\]\.[A-Za-z_][A-Za-z0-9_]{0,99})?$"
MODEL_ID = r"^[\x21-\x7e]([\x20-\x7e]{0,254}[\x21-\x7e])?$"
LABEL = r"^[^\x00-\x1f\x7f]{1,200}$"
KEY_FIELD = r"^[a-z][a-z0-9_]{0,127}$"
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
URL_PATH = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}){0,10}$"
HOST_NAME = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"
# Without a colon, or with two and more: a host name with its port has one.
BIND_HOST = r"^[A-Za-z0-9._-]{1,253}$|^[0-9A-Fa-f.]{0,4}:[0-9A-Fa-f.]{0,4}:[0-9A-Fa-f.:]{0,37}$"
PRINCIPAL = r"^[A-Za-z0-9._-]{1,128}$"
LOGGED_PRINCIPAL = r"^[^\x00-\x1f\x7f]{1,256}$"
PRINCIPAL_PREFIX = r"^[A-Za-z0-9._:/|-]{0,64}$"
CLAIM_PATH = r"^[\x21-\x7e]{1,200}$"
COOKIE_NAME = r"^[A-Za-z0-9_.-]{1,128}$"
KEY_HASH = r"^sha256:[0-9a-f]{64}$"
PEPPER_VERSION = r"^[1-9][0-9]{0,3}$"
REFERENCE = r"^(\$\{[A-Za-z_][A-Za-z0-9_]{0,127}\}|file:/[^\x00-\x1f\x7f]+)$"
ATTRIBUTE = r"^[A-Za-z_][A-Za-z0-9_./-]{0,127}$"
ATTRIBUTE_TEXT = r"^[^\x00-\x1f\x7f]{1,1000}$"
SQL_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
PLUGIN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
MIDDLEWARE = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
SOCKET_PATH = r"^/[^\x00-\x1f\x7f]{1,99}$"
FILE_MODE = r"^0?[0-7]{3}$"
ORIGIN = r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$|^https?://\[[0-9a-f:]+\](:[0-9]{1,5})?$"

MEANINGS = {
    PROVIDER_NAME: "lower-case letters, digits, - and _, at most 63, a letter or digit first",
    HEADER_NAME: "the name of a header, such as X-Title",
    HEADER_PREFIX: "plain ASCII text without control characters",
    BODY_FIELD: "the name of a body field, such as max_tokens",
    DROPPED_FIELD: "the name of a body field, such as seed or messages[].name",
    MODEL_ID: "plain ASCII text without leading or trailing spaces",
    LABEL: "one line of text, at most 200 characters",
    KEY_FIELD: "lower-case letters, digits and _, such as groq_api_key",
    ENV_NAME: "the name of an environment variable, such as GROQ_API_KEY (without the $)",
    URL_PATH: "a path such as /openai/v1, without a trailing slash",
    HOST_NAME: "a host name, such as api.example.org",
    BIND_HOST: "a host name or address without a port, such as 127.0.0.1",
    PRINCIPAL: "letters, digits, dots, - and _",
    LOGGED_PRINCIPAL: "the name of a caller, at most 256 characters",
    PRINCIPAL_PREFIX: "letters, digits and ._:/|-, at most 64",
    CLAIM_PATH: "a claim, or a path to one with dots, such as sub or realm_access.roles",
    COOKIE_NAME: "the name of a cookie, such as sb-abcdefgh-auth-token",
    KEY_HASH: "sha256: and the 64 lower-case hexadecimal digits of the key's hash",
    PEPPER_VERSION: "a whole number from 1 to 9999",
    REFERENCE: "${VARIABLE} or file:/absolute/path; the secret itself does not belong here",
    ATTRIBUTE: "the name of an attribute, such as deployment.environment.name",
    ATTRIBUTE_TEXT: "one line of text, at most 1000 characters",
    SQL_NAME: "the name of a table or a column: letters, digits and _, at most 63",
    PLUGIN: "module:name, such as plugins.hello:stamp",
    MIDDLEWARE: "the name of a middleware, such as authenticate",
    SOCKET_PATH: "the absolute path of a socket, such as /run/gateway/gateway.sock, at most 100",
    FILE_MODE: 'an octal mode in quotes, such as "0660"',
    ORIGIN: "one origin in lower case, such as https://chat.example.org (no path, no *, no null)",
}
