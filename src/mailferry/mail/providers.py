"""Who keeps a recipient's mailbox, in the names that Mailtrap's statistics use.

The host that answered says it best, since many domains have their mail kept elsewhere; the recipient's own domain tells a
provider's own addresses from those that it keeps for others (Gmail and Google Workspace).
"""

OTHER = "Other"

#: A host's name, or its end -> the provider that keeps the mailboxes behind it.
_HOSTS = {
    "google.com": "Google Workspace",
    "googlemail.com": "Google Workspace",
    "yahoodns.net": "Yahoo",
    "olc.protection.outlook.com": "Outlook",
    "mail.protection.outlook.com": "Office 365",
    "mx.microsoft": "Office 365",
    "zoho.com": "Zoho Email",
    "zoho.eu": "Zoho Email",
    "zoho.in": "Zoho Email",
    "protonmail.ch": "ProtonMail",
    "yandex.net": "Yandex",
    "yandex.ru": "Yandex",
    "mail.icloud.com": "iCloud",
    "amazonaws.com": "Amazon SES",
    "pphosted.com": "Proofpoint",
    "ppe-hosted.com": "Proofpoint",
    "mimecast.com": "Mimecast",
    "mimecast.co.za": "Mimecast",
    "gmx.net": "GMX.net",
    "emailsrvr.com": "Rackspace",
    "ovh.net": "OVH hosted",
    "linode.com": "Linode hosted",
    "secureserver.net": "GoDaddy",
    "messagelabs.com": "Symantec",
    "barracudanetworks.com": "Barracuda",
    "iphmx.com": "Cisco",
    "messagingengine.com": "FastMail",
    "naver.com": "Naver",
    "seznam.cz": "Seznam",
    "comcast.net": "Comcast",
    "charter.net": "Spectrum",
    "spectrum.net": "Spectrum",
    "hey.com": "Hey",
}
#: Domains of a provider's own addresses, and those whose second label is the provider's whatever the country (yahoo.co.uk).
_DOMAINS = {
    "gmail.com": "Google",
    "googlemail.com": "Google",
    "ymail.com": "Yahoo",
    "rocketmail.com": "Yahoo",
    "aol.com": "Yahoo",
    "msn.com": "Outlook",
    "hey.com": "Hey",
    "zohomail.com": "Zoho Email",
    "zohomail.eu": "Zoho Email",
    "proton.me": "ProtonMail",
    "protonmail.com": "ProtonMail",
    "pm.me": "ProtonMail",
    "ya.ru": "Yandex",
    "icloud.com": "iCloud",
    "me.com": "iCloud",
    "mac.com": "iCloud",
    "gmx.net": "GMX.net",
    "gmx.de": "GMX.net",
    "gmx.com": "GMX.net",
    "gmx.at": "GMX.net",
    "gmx.ch": "GMX.net",
    "fastmail.com": "FastMail",
    "fastmail.fm": "FastMail",
    "naver.com": "Naver",
    "seznam.cz": "Seznam",
    "email.cz": "Seznam",
    "comcast.net": "Comcast",
    "xfinity.com": "Comcast",
    "spectrum.net": "Spectrum",
    "charter.net": "Spectrum",
    "roadrunner.com": "Spectrum",
}
_BRANDS = {"yahoo": "Yahoo", "outlook": "Outlook", "hotmail": "Outlook", "live": "Outlook", "yandex": "Yandex"}

#: All names there are.
PROVIDERS = (*sorted({*_HOSTS.values(), *_DOMAINS.values(), *_BRANDS.values()}), OTHER)


def provider(domain: str, host: str = "") -> str:
    """``domain``: the recipient's, in lower case; ``host``: the one that answered, empty where none did."""
    if found := _DOMAINS.get(domain):
        return found
    labels = domain.split(".")
    # yahoo.fr, yahoo.co.uk, hotmail.com: the brand, and one or two labels of a country.
    if len(labels) in (2, 3) and len(labels[-1]) in (2, 3) and (found := _BRANDS.get(labels[0])):
        return found
    return _of_host(host.rstrip(".").lower())


def _of_host(host: str) -> str:
    while host:
        if found := _HOSTS.get(host):
            return found
        host = host.partition(".")[2]
    return OTHER
