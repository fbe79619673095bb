"""Name the rows of a copy that are not what a benchmark is declared to hold.

CONTENTS has twelve hexadecimal digits for each question of the benchmarks whose contents are known: six of its id, six
of a hash of its gold as it is published. No question can be read from them. They name a row; whether a copy is the
declared one is decided by the benchmark's content hash alone.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence

from relift.schema import Question

WHOLE = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?")
DIGITS = 6
SHOWN = 3


def comparable(gold: str) -> str:
    """Bring a published gold into the form that is hashed: whole numbers as numbers, other golds as text, NFC, white
    space folded."""
    folded = " ".join(unicodedata.normalize("NFC", gold).split())
    match = WHOLE.fullmatch(folded)
    if match is None:
        return folded
    return f"{'-' if match[1] == '-' and match[2] != '0' else ''}{match[2]}"


def digest_of(question: Question) -> str:
    """Write the digits of one question and its gold, as the layout gives it."""
    gold = hashlib.blake2b(comparable(question.answer).encode(), digest_size=8).hexdigest()
    return question.question_id[:DIGITS] + gold[:DIGITS]


def differing_rows(name: str, questions: Sequence[Question], row_of: Mapping[str, int]) -> str | None:
    """Say which questions of a copy differ from the declared ones, with their rows; None where nothing is known."""
    text = CONTENTS.get(name)
    if text is None:
        return None
    declared = {text[i : i + DIGITS]: text[i + DIGITS : i + 2 * DIGITS] for i in range(0, len(text), 2 * DIGITS)}
    said, found = [], set()
    for question in questions:
        digits, row = digest_of(question), row_of.get(question.question_id)
        where = "a question" if row is None else f"row {row}"
        found.add(digits[:DIGITS])
        if digits[:DIGITS] not in declared:
            said.append(f"{where} is none of its questions")
        elif declared[digits[:DIGITS]] != digits[DIGITS:]:
            said.append(f"{where} has another gold ({' '.join(question.answer.split())[:40]!r})")
    n_missing = len(declared.keys() - found)
    shown = said[:SHOWN] + ([f"{len(said) - SHOWN} more rows differ"] if len(said) > SHOWN else [])
    shown += [f"{n_missing} of its questions are missing"] if n_missing else []
    return "; ".join(shown) or None


CONTENTS: dict[str, str] = {
    "aime24": (
        "018fbeb614dc1045cdfd661c185d5e51a1d719c7afc2ccda20f192cb66132d0cf1630f383af78a25d3c23f809d958da5412797ce09f7"
        "4f372cd68edf5745bd50ec5665abdb26808967c5f4f4a3a5759ee9741f10762d27ce09f77923c71449b5890b30f227659308131f18d4"
        "9b1e283ec871af4739203af1b3490f775a57b42836ca47ebbd521edc38f0be1f20505382c1529c13b02acc7c32e0a826cf2f8a80ad88"
        "d83f643514f5e5a9c8601ddbee5d2392b8aa"
    ),
    "aime25": (
        "06552cc7da4e0c16c83f4aed189069b91c2621e3345fc08f314a266d514b384de8750f0149b0e39137b84c169ea0664d53596b3ec871"
        "583feace09f766c7517eb85b72632a5ec8c7797dfc0a0229812cbd720f0882c10b51b86f919a44f48f09950047efebc2b13342e1411b"
        "b15488c8b07cb1b9314a7c0fb1e9ca9e5c85b454e6741f10bcc072452020ccd0f9ffa27dcd54c11f18d4cf870a13f7c3cfd32669e48d"
        "dce81d5c7bbfecbbe12f61c2efe41daa3ff5"
    ),
    "amc": (
        "00297da338270734038eba7f08e49c6a50550ae5865502690af2c51f57380cc97226808915c531842b7d18c4d1a93b641b487f8b5408"
        "1e1e0d20398d21010f1b3d18213d9776500422508dbcc4582b73c08b54082ca78e6b7a09340829871e643ddad757b43c3f0eb9d9614b"
        "3f9126711d7b401c09a3382741ede1182d7c4610b9d9614b46b215e7501747513d9e2519484185a93b644fb0c71b3d18659a5e765004"
        "6fab468eba7f722c61e750177350c08b540878a0238b54087b6ae9182d7c7c89551535d97f96991bf41e7fbfe5e750178406468b5408"
        "85dc0d4919318823e39e25198e443724eb508f974a182d7c93d16cb9167f983d169691c79946dac2ccda995a9e7650049bb5938b5408"
        "9c0b91f6fc429c8ac60a16f89d212d711d7b9ec95e98736aa062ada33827a5e39d1bf41ea6f38e4a3e96a8146cf7df83a9146de75017"
        "a98bdd711d7baa1ad79654cdac7d64d59504adc0c1f87bb5b0dd05d6a2c8b5b6c708ae62bc1babe75017c07e79a33827c3a478711d7b"
        "c64a0624eb50c7a768765004ca11f8f6b3b5cb1067d9614bd3bff51b3d18d50b374104add854b4711d7bdb736f711d7bdbfabce965d1"
        "e14e29a972c0e2b7e5ccd67cea5dcc0ebea1eaac88f6fc42eb383ff48f09ecd082a93b64ecdc308b5408f4722f6a5055f73fe61535d9"
        "fe419a1bf41efed1fe6a5055"
    ),
    "math500": (
        "000e3775aa5a0091bc8b540800c1ce56344e00cad67c9eaa00ef913967370130d1d0c9a80164101b3d1802715d5bcb2c02be471b3d18"
        "02d0bb1b3d18036982a93b6403c30a399f6e05717ffa4f93065b3ef9204606bd365103ac06ce405110ad07510d108d6e0782266a5055"
        "07d21ffc9dc80949888eba7f09935c2f61c209a7ca57b43c09dfbd53c0730a07eb1360290a9d07f381290b43367650040bfd5ca90504"
        "0c2680bd7c390c45e44db3700c47b9750f010c64508206700c9d6e6831f20d3974601ddb0d45b6a93b640dfcd76b7a090e0da494179a"
        "0e2d9f711d7b0ec7cb842b7d0f08e44f71930f1bf1d0ef1f0f73b0e69a920f8e33a2fb570fabbc1b0dac0fcd66dc38f00fefbcb37bba"
        "1065aeafe738108090cd7616111f43b787d211e9bad9614b120155ada7611201579c1849137f88711d7b13d42783a25015905610031c"
        "1593bac159e115f3ff1d8c9116859c750f01172d6c8b540817308222b31b17fa75f6fc421953ee20398d1957ef71ed3b19a1ad9dfdfb"
        "19bb556959091a94136e63ba1aff61f729871b39d2aa22f51e0fd48b54081e10235999661ecb01e7c83b1f03c08eba7f1f1341c00222"
        "1fe124e75017205db21b3d1820c171f6fc42216bc0a3ec3d216dba1c71142215c52800d8233a00c0b2bb2370eaf48f0923948c6c60e2"
        "2452be7a310e246eec711d7b2521fca33827256b9cf7a4e02594b31bf41e261f49e7e0ec269f4b75468728bd4b6b9ca82a00aba972c0"
        "2a1fe9f7a4e02a659b6b7a092a6c901b3d182a87e32680892b4198721b942bbf39711d7b2d07eadae5432d213358964c2dac6853d555"
        "2f1344842b7d2f29841bf41e2f81364fa3432fc850eea61d3019f6b9167f3024cdf6b3b5302fb4842b7d317c435ec8c732da73c01418"
        "32e7b89e251932ed2bdc961632efdf5999663378c69e2519339b4a1bf41e34bce4f6b3b53577f2522efa35a76373fca13614b58eba7f"
        "363c79b4bb0d3728b5a33827378b5c711d7b37aa52c2ccda37e25653d55538bb57c9e35f38bbe32033b138dde78eec4a3920006aa0c0"
        "392f6a9e25193a0d5d209b483a29a99e25193a3f411bf41e3bff715b4de53c57fc75d4d03cdec31bf41e3cf1a1e71bf33d13558eba7f"
        "3dbfbb8aee893dec236959093f046c03ad8e3f11c91586683fa9eb0bdde73fe15ff6b3b5404f2eb7f311407c086ca9f64212783ff0bb"
        "4214f86f513e42792601aff24333f60534ec4371f71b3d1843723b024a81444752ce97404463d569590944a9cd550269455a5e1b3d18"
        "45a44347557f4674de62f18246bc5e7c7b5146ca57bacfb047e463f6b3b548087b816cda49479a766d2449af489e25194b6f1c82fe41"
        "4bd674d94d7c4ce78c7add314d9fe81bf41e4e11bbc86b454e1d34766d244ef0acdf07374fe377f6fc424ff10f713f4050456a2ff59c"
        "5084a38b5408524968182d7c52a47f46867a53590793e40653ea7a4104ad54261be95898548668a3160a54e9191bf41e56e754e42935"
        "57359a9e2519583183898af05882f19ce9e958bdaa5110ad58ec1b5053825a6eea266e4d5ae921c074195ba673a338275ba6751f62c9"
        "5bae228f8a305c4c7e1f57385cebc36aa0c05d0e9dfe63df5d539c1a32a45d7403a338275d7e7efdafc85fc7972033b15ff179f6b3b5"
        "60e48f7d95ca60f71f268089610ce2a338276152ee711d7b626b62e19f506355b8e8fabf6356f9f6fc426396b66b7a0963c657958da5"
        "645c929e251965148e8581586525cd69590965ad54ff7c2b65d569726faf66bba161437266d5bef6fc4266ee5d3b10e567f7526b4dab"
        "6877b22f61c269aabb2680896b021a711d7b6b40f320398d6b4ae6711d7b6b76f2a338276cc1031bf41e6ce14a5110ad6d0971a33827"
        "6d5658f6fc426f5573a3382770249ccbc21c71c5ed8135b171e78c6b7a0973211620398d74578ccb6c8f745bfed9614b74e43d599966"
        "75ef8af6fc42767a58c8b07c76b40cfd38a077a8699e251977e4954aa34f77ff298267087839e8447f2578a9788eba7f7912dd8b5408"
        "7a4d97a93b647bbe44750f017d45950d05f07de45bebe99d7e5c0c20398d7ecd288ada0c7ee90f896ac97f638b96d3b27fa8031bf41e"
        "7fae0ee7c83b80e05d1b3d18810460b9167f8131caa4669381620020398d8243a96590238315e8711d7b8341acd9614b8399491bf41e"
        "83f56c4494d484205714371484986ced540e850cfd0015498546b33f111e855489f6fc4286d65f32774f86f5221fc66487a7cc1b3d18"
        "8861fa1b3d188883aad9614b89e7fabd7c398a47ed5999668beab21dbd328bfdb2b9cf5b8c2f03203af18c31fe734e368c493b1bf41e"
        "8d3b9ad24fea8d81632acc248d82b56b7a098eab48711d7b8ee6ea2aff338f02b1697cd68fb54b6b7a098fdd44858158900e60f33ac7"
        "902517ea74ec90f6b364190f91d8d80c6e6a93929a816cda93f1364104ad9492678b540894cbbd76500495b132420e03962e9ea8fba5"
        "96413ef6b3b5968afd412e429740cedc4a7f974c9b842b7d976daa0449e597e884ce7dcd9824196f5c6499111e1b3d189940bbf6b3b5"
        "9955861535d999903e1281589ad1f79e25199af8c5f4cd049b87519e25199bce73842b7d9bdd8f711d7b9cec295502699d4bdb9e2519"
        "9dc5651bf41e9dc84c6b7a099dd7382cb08f9e3f1ab7f3119e77814962ba9e974c4dd4549ee020f48f099f8b735110ada0033f6f513e"
        "a051091bf41ea17eb01535d9a1c96808ae62a2b304c8b07ca32a7b9e2519a37060750f01a4b2fb53d555a4fd5708ae62a51f3f7d95ca"
        "a54af8750f01a61bf3244e25a656591bf41ea7190f0c08e2a7aa8cf6b3b5a7b338711d7ba93f5b3b22afaaf71d4bd365ac06e0a972c0"
        "ad0d7a15bf4aad47f61bf41ead509c9e2519ad82e6f6b3b5ad986835953eade6ebf6b3b5ae324575d4d0ae569fc1c791af5b9afb8f1b"
        "afc0d88aee89afdace334843b00d28e75017b023b1bcc458b1da5e1eb93ab20c021f5738b3ec43c11e75b6a50b0ebea1b7215af54b3a"
        "b7339c006c84b7ed1dd25a32b9735206a2eeb9ca28e7ed0db9d8c8d6c424ba0a468ee2bcbb51a9bb2d55bb7dc04ec273bbce1f880670"
        "bc4547f6caf9bcaf03711d7bbd39d20b72e6bd41da24eb50bd6da56a5b8cbd747385fd91bd9ceaee61c1bdb4cbd9614bbdeb849e2519"
        "beadb52033b1c017f7583c45c0a40a1bf41ec23f419dae70c2905bd45307c2d0d16b7a09c38ef3e75017c3a3f4acfe8fc3a9953db3d1"
        "c416a555fefdc4bcc107b5fac5447adc66eac5b4911f5738c5ee27202941c603f4711d7bc6446e182d7cc6a410bf067bc76b0dff7c2b"
        "c843d0750f01c8b1465f82d9c8ca6f5e8445c9340fd9614bca2bad711d7bca90e236793bcab9838eba7fcac89b4644e0cb8729f6fc42"
        "cba251de0f4ecc80faa33827cdc1b14cd706cdd2ce595bd3ce84f8c4aa8fcf3c01816cdad0431e550269d1421a349621d199205b08de"
        "d1e4d8850a03d1f703e27877d20f939e2519d210e9842b7dd255c8f6fc42d2f8fb5c7b6ed336bdb57cddd338c0bc1926d36faf9ce9e9"
        "d372ec1b3d18d3c54ff6fc42d493e2caa28bd4a7d4a09158d54354d65927d5f25f711d7bd68d7dafc7fcd8c1abe75017d8fb8d2f61c2"
        "db3fc8dea440dbd92a0e5e5ddce1d3bf22b9dd6bb5ad2170ddf2a7711d7bde0a159d4965de3451c2f336e0289bc5f6c0e03c93855567"
        "e0a649323dfae12fd3a93b64e1ed8bd26751e1fc851b3d18e444e9e75017e539fa02a375e53adb1bf41ee5614c4a03bde6d2aba19d02"
        "e6ffb49e2519e793885102dfe79e34e0a826e7b0e15c2de0e84bc75f4a0de85bb99e2519ea49bcd4c43beb6e5775d4d0ebd49c50ec56"
        "ebf4319e2519ec0c786b7a09ed0d72c0432dee9e601f5738eebe24fc0fbdef0dd9750f01ef2653a93b64ef7e9ef48f09ef8b449e2519"
        "efc9b608ae62f114dd8eba7ff195381bf41ef1db2d9151f3f2729e6c09dff39aa0173667f44abb98736af4a836858158f5f5810e5e5d"
        "f655c3ebcb92f6d3e37c7b51f724ddc9b5c8f725858eba7ff7db1ca0664df8401cf7a4e0f88e308eba7ff8b212ac0665f8eb8ec758f2"
        "fab93e711d7bfb084213f7c3fb161d264acbfb2f0591eb67fbb21f842b7dfc6cfabe1ed1fc9c94f7a4e0fcd059843cf2fe00c12a78ee"
        "fec80e5636f3ff60cd601ddbffbd97f6fc42ffd3e28b5408fffd0e6b7a09"
    ),
}
