"""The tokens of well-known providers: one row each, all of them searched for in one pass.

A token has a lead, which ends in a rare character, and a body. So a text without these characters is done with at once,
and most others where no long word follows one.
"""

import re
from typing import Final, NamedTuple

from failpath_otel.scrubbing.keys import REDACTED
from failpath_otel.scrubbing.pairs import Search, Span, replace_found


class Token(NamedTuple):
    """The form of a provider's tokens: any of ``leads``, directly followed by ``body``, a regular expression."""

    provider: str
    leads: str
    """Separated by blanks."""
    body: str
    source: str
    """A rule of gitleaks (MIT), a plugin of detect-secrets (Apache-2.0), a file of kingfisher (Apache-2.0), a page."""
    before: int = 0
    """How many characters before the lead belong to it."""


# A body is one run of characters, or parts of a fixed length, so that it fails without backtracking.
# Lengths are lower bounds, because providers lengthen their tokens.
TOKEN_FORMATS: Final = (
    Token("Anthropic", "sk-", r"ant-[a-z]{2,12}\d\d-[\w-]{20,}", "gitleaks anthropic-api-key"),
    Token("OpenRouter", "sk-", r"or-v1-[0-9A-Za-z]{32,}", "nango.dev/docs/api-integrations/openrouter, the lead"),
    Token("OpenAI", "sk-", r"(?:proj|svcacct|admin|None)-[\w-]{20,}", "gitleaks openai-api-key"),
    Token("OpenAI", "sk-", r"[A-Za-z0-9]{32,}", "detect-secrets openai.py"),
    Token(
        "GitLab",
        "glpat- gloas- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat-",
        r"[\w.-]{20,}",
        "gitleaks gitlab-pat and its siblings; docs.gitlab.com/security/tokens, token prefixes",
    ),
    Token("GitLab", "glffct-", r"[\w-]{20,}", "gitleaks gitlab-feature-flag-client-token"),
    Token("GitLab", "GR", r"1348941[\w-]{20,}", "gitleaks gitlab-rrt"),
    Token(
        "Slack",
        "xoxb- xoxp- xoxa- xoxo- xoxs- xoxr- xoxe- xoxd- xoxc-",
        r"[A-Za-z0-9%][A-Za-z0-9%/+-]{14,}",
        "gitleaks slack-bot-token and its siblings",
    ),
    Token("Slack", "xapp-", r"\d-[A-Z0-9]{6,}-\d{6,}-[A-Za-z0-9]{8,}", "gitleaks slack-app-token"),
    Token("PyPI", "pypi-", r"AgE[\w-]{32,}", "gitleaks pypi-upload-token"),
    Token("Pulumi", "pul-", r"[0-9a-f]{40,}", "gitleaks pulumi-api-token"),
    Token("Perplexity", "pplx-", r"[A-Za-z0-9]{40,}", "gitleaks perplexity-api-key"),
    Token("Postman", "PMAK-", r"[0-9a-fA-F]{24}-[0-9a-fA-F]{34,}", "gitleaks postman-api-token"),
    Token("Mailgun", "key-", r"[0-9a-f]{32}(?![0-9A-Za-z])", "gitleaks mailgun-private-api-token"),
    Token("Square", "sq0csp- sq0atp-", r"[\w-]{22,}", "gitleaks square-access-token"),
    Token("Brevo", "xkeysib-", r"[0-9a-f]{64}-[A-Za-z0-9]{16,}", "gitleaks sendinblue-api-token"),
    Token("xAI", "xai-", r"\w{40,}", "kingfisher xai.yml"),
    Token("NVIDIA", "nvapi-", r"[\w-]{40,}", "kingfisher nvapi.yml"),
    Token("New Relic", "NRAK-", r"[A-Za-z0-9]{27,}", "gitleaks new-relic-user-api-key"),
    Token("Mailchimp", "-", r"(?<=[0-9a-f]{32}-)us\d{1,2}(?![\w-])", "detect-secrets mailchimp.py", before=32),
    Token("Stripe", "sk_ rk_", r"(?:live|test|prod)_[A-Za-z0-9]{10,}", "gitleaks stripe-access-token"),
    Token("Stripe webhooks", "whsec_", r"[A-Za-z0-9+/=]{24,}", "docs.stripe.com/webhooks/signature, the lead"),
    Token("GitHub", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36,}", "gitleaks github-pat and its siblings"),
    Token("GitHub", "github_", r"pat_\w{36,}", "gitleaks github-fine-grained-pat"),
    Token("npm", "npm_", r"[A-Za-z0-9]{36,}", "gitleaks npm-access-token"),
    Token("Hugging Face", "hf_", r"[A-Za-z0-9]{30,}", "gitleaks huggingface-access-token"),
    Token("Hugging Face", "api_", r"org_[A-Za-z0-9]{30,}", "gitleaks huggingface-organization-api-token"),
    Token("DigitalOcean", "dop_ doo_ dor_", r"v1_[0-9a-f]{64}", "gitleaks digitalocean-pat and its siblings"),
    Token("Shopify", "shpat_ shpca_ shppa_ shpss_", r"[0-9a-fA-F]{32,}", "gitleaks shopify-access-token"),
    Token("PlanetScale", "pscale_", r"(?:tkn|pw|oauth)_[\w=.-]{32,}", "gitleaks planetscale-api-token"),
    Token("Grafana", "glsa_", r"[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}", "gitleaks grafana-service-account-token"),
    Token("Grafana", "glc_", r"[A-Za-z0-9+/]{32,}={0,3}", "gitleaks grafana-cloud-api-token"),
    Token("Linear", "lin_", r"api_[A-Za-z0-9]{40,}", "gitleaks linear-api-key"),
    Token("Notion", "ntn_", r"\d{11}[A-Za-z0-9]{35,}", "gitleaks notion-api-token"),
    Token("RubyGems", "rubygems_", r"[0-9a-f]{48,}", "gitleaks rubygems-api-token"),
    Token("Sentry", "sntryu_", r"[0-9a-f]{64}", "gitleaks sentry-user-token"),
    Token("Sentry", "sntrys_", r"eyJ[A-Za-z0-9+/=_]{20,}", "gitleaks sentry-org-token"),
    Token("Docker", "dckr_", r"pat_[\w-]{20,}", "kingfisher dockerhub.yml"),
    Token("Groq", "gsk_", r"[A-Za-z0-9]{40,}", "kingfisher groq.yml"),
    Token("Logfire", "pylf_", r"v\d{1,3}_[A-Za-z0-9_]{16,}", "logfire (MIT), DEFAULT_PATTERNS"),
    Token("SendGrid", "SG.", r"[\w-]{16,32}\.[\w-]{32,}", "gitleaks sendgrid-api-token"),
    Token("HashiCorp Vault", "hvs. hvb. hvr.", r"[\w-]{24,}", "gitleaks vault-service-token"),
    Token("HashiCorp Vault", "s.", r"(?=[A-Za-z]{0,23}\d)[A-Za-z0-9]{24}(?![\w.-])", "gitleaks vault-service-token"),
    Token("Telegram", ":", r"(?<=\d{8}:)A[\w-]{34}(?![\w-])", "detect-secrets telegram_token.py"),
    Token("AWS", "A", r"(?:3T[A-Z0-9]|KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])", "gitleaks aws-access-token"),
    Token("AWS", "A", r"BSK[A-Za-z0-9+/]{100,}={0,2}", "gitleaks aws-amazon-bedrock-api-key-long-lived"),
    Token("Google", "A", r"Iza[\w-]{35}", "gitleaks gcp-api-key"),
    Token("Atlassian", "A", r"TATT3[\w=-]{40,}", "gitleaks atlassian-api-token"),
    Token("Artifactory", "A", r"KC[A-Za-z0-9]{24,}", "detect-secrets artifactory.py"),
    Token("Twilio", "SK", r"[0-9a-fA-F]{32}(?![0-9A-Za-z])", "gitleaks twilio-api-key"),
    Token(
        "Azure storage",
        "AccountKey= SharedAccessKey=",
        r"[A-Za-z0-9+/]{40,}={0,2}",
        "detect-secrets azure_storage_key.py",
    ),
    Token("Azure SAS", "sig=", r"[A-Za-z0-9%+/]{40,}={0,2}", "learn.microsoft.com, service SAS, field sig"),
    Token(
        "AWS signatures",
        "X-Amz-Signature= X-Amz-Security-Token= X-Goog-Signature=",
        r"[\w%+/=-]{16,}",
        "docs.aws.amazon.com, signature version 4, query parameters",
    ),
    Token(
        "Slack hooks", "hooks.slack.com/", r"(?:services|workflows|triggers)/[\w+/-]{20,}", "gitleaks slack-webhook-url"
    ),
    Token(
        "Discord hooks", "discord.com/ discordapp.com/", r"api/webhooks/\d{5,20}/[\w-]{20,}", "kingfisher discord.yml"
    ),
    Token("Discord", ".", r"(?<=[MNO][\w-]{23}\.)[\w-]{6}\.[\w-]{27,}", "detect-secrets discord.py", before=24),
)

# By the last character of a lead, or the whole lead if it is short: what must match before a token is tried.
# Each pattern begins with a literal, to which `re` skips by `memchr`.
_MARKS: Final = {
    "_": r"_(?<=[a-z]_)(?=[\w.+/=-]{16})",
    "-": r"-(?:(?<=[Kiklpstxy]-)(?=[\w%+/.-]{16})|(?<=xox[a-eoprs]-)|(?<=keysib-)|(?=us\d))",
    ".": r"\.(?:(?<=[Gbrs]\.)(?=[\w-]{16})|(?=[\w-]{6}\.[\w-]{27}))",
    ":": r":(?=A[\w-]{34})",
    "A": r"A(?=3T|KIA|SIA|BIA|CCA|BSK|Iza|TATT3|KC)",
    "R": r"R(?=1348941)",
    "K": r"K(?=[0-9a-fA-F]{32})",
    "=": r"=(?=[\w%+/-]{16})",
    "/": r"/(?<=\.com/)(?=services|workflows|triggers|api/)",
}
_ESCAPED: Final = frozenset({"\\n", "\\r", "\\t"})
_AWS: Final = "AKIA", "ASIA"
_AWS_SECRET: Final = re.compile(
    r"(?:(?<![A-Za-z0-9/+])|(?<=\\[nrt]))(?=[a-z0-9/+]{0,39}[A-Z])(?=[A-Z0-9/+]{0,39}[a-z])"
    r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
)
_PEM: Final = re.compile(r"-----BEGIN[A-Z0-9 ]{0,40} PRIVATE KEY(?: BLOCK)?-----")
_PEM_END: Final = re.compile(r"-----END[A-Z0-9 ]{0,40}-----")

_Leads = tuple[tuple[str, "re.Pattern[str]", int], ...]


def _leads(mark: str) -> _Leads:
    return tuple(
        (lead, re.compile(form.body, re.ASCII), form.before)
        for form in TOKEN_FORMATS
        for lead in form.leads.split()
        if lead.endswith(mark)
    )


_PASSES: Final = tuple((mark, re.compile(pattern, re.ASCII).search, _leads(mark)) for mark, pattern in _MARKS.items())


def redact_tokens(text: str) -> str:
    """Return *text* without :data:`TOKEN_FORMATS`, PEM private keys and the secret beside an AWS access key id."""
    aws = False
    for mark, search, leads in _PASSES:
        if mark in text and search(text) is not None:
            aws = aws or (mark == "A" and any(lead in text for lead in _AWS))
            text = _without(text, search, leads)
    if "-" in text and "-----BEGIN" in text:
        text = replace_found(text, _PEM.search, _private_key)
    return _AWS_SECRET.sub(REDACTED, text) if aws else text


def _without(text: str, search: Search, leads: _Leads) -> str:
    def token(text: str, found: "re.Match[str]") -> Span | None:
        behind = found.end()
        for lead, body, before in leads:
            if text.endswith(lead, 0, behind):
                rest = body.match(text, behind)
                begin = behind - len(lead) - before
                if rest is not None and _begins_word(text, begin):
                    # The name behind which it stands is kept readable.
                    return behind if lead[-1] in "=/:" else begin, rest.end()
        return None

    return replace_found(text, search, token)


def _begins_word(text: str, begin: int) -> bool:
    # In a `repr`, an escaped line end looks like a letter.
    return (
        begin <= 0
        or not (text[begin - 1].isalnum() and text[begin].isalnum())
        or text[max(begin - 2, 0) : begin] in _ESCAPED
    )


def _private_key(text: str, found: "re.Match[str]") -> Span:
    end = _PEM_END.search(text, found.end())
    return found.end(), len(text) if end is None else end.start()
