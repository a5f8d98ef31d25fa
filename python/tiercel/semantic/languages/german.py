"""German word lists."""

import re
from typing import Final

from tiercel.semantic.languages.language import Language, both_ways

__all__ = ["GERMAN"]

_EMPTY: Final = (
    "der die das den dem des ein eine einen einem einer eines bitte ist sind bin bist sei kann kannst können könnt könnte könnten "
    "könntest könntet mal denn doch eigentlich"
)
_NEGATIONS: Final = "nicht kein keine keinen keinem keiner keines nie niemals niemand niemanden niemandem nichts ohne weder nirgends nirgendwo kaum"
_TELLING: Final = (
    "wann wo wohin woher wer wen wem wessen was warum wieso weshalb wie welche welcher welches welchen welchem war waren hatte hatten muss "
    "musst müssen darf darfst dürfen soll sollst sollen sollte will willst wollen wird werden wurde nur außer wenn falls alle beide jeder jede "
    "jedes mehr weniger als null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn zwanzig dreißig vierzig fünfzig "
    "sechzig siebzig achtzig neunzig hundert tausend million milliarde einmal zweimal erste ersten zweite zweiten dritte dritten halb halbe "
    "viertel dutzend montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag januar februar märz april mai juni juli august "
    "september oktober november dezember heute morgen gestern"
)
_PAIRS: Final = (
    "an/aus ab, auf/zu ab unter, vor/nach hinter zurück, in/aus, von/zu nach bis, über/unter, oben/unten, links/rechts, "
    "hin/her, hier/dort da, und/oder, mein meine meinen meinem unser unsere/dein deine deinen deinem ihr ihre euer eure, ich wir/du sie ihr, "
    "er/sie, ihm/ihr, mich mir uns/dich dir euch, dieser diese dieses/jener jene jenes, öffnen geöffnet offen auf/schließen schliessen "
    "geschlossen zu sperren, starten beginnen anfangen starte begonnen gestartet/stoppen beenden aufhören enden stoppe beendet gestoppt, "
    "anfang beginn start/ende schluss, erhöhen steigern vergrößern anheben heben/senken verringern verkleinern reduzieren mindern, steigen "
    "gestiegen stieg zunehmen wachsen/fallen sinken gefallen gesunken fiel abnehmen schrumpfen, kaufen kauf gekauft käufer/verkaufen verkauf "
    "verkauft verkäufer, mieten mieter/vermieten vermieter, hinzufügen anlegen erstellen anhängen einfügen speichern/entfernen löschen "
    "wegnehmen trennen verwerfen, hinzugefügt angelegt erstellt/entfernt gelöscht, erlauben gestatten zulassen genehmigen erlaubt/verbieten "
    "verweigern untersagen sperren verboten, annehmen akzeptieren zustimmen/ablehnen verweigern, angenommen/abgelehnt, senden schicken "
    "gesendet absender/empfangen erhalten bekommen empfänger, geben/nehmen bekommen, kommen/gehen, ankunft/abfahrt abreise abflug, ankommen/"
    "abfahren abreisen, eingang/ausgang, einnahme einnahmen/ausgabe ausgaben, gewinnen gewinn gewonnen sieg/verlieren verlust verloren "
    "niederlage, finden gefunden/suchen verlieren, lieben liebe mögen/hassen hass, leben lebendig/sterben tot tod, groß große größer/klein "
    "kleine kleiner, hoch hohe hohen höher/niedrig niedrige tief tiefe niedriger, lang lange länger/kurz kurze kürzer, alt alte älter "
    "ältere/neu neue jung junge neuer jünger, schnell schneller/langsam langsamer, leicht leichter einfach/schwer schwierig kompliziert, "
    "gut gute besser beste/schlecht schlechte schlechter schlechteste böse, warm heiß wärmer/kalt kühl kälter, hell/dunkel, laut/leise, voll/"
    "leer, reich/arm, stark/schwach, früh früher/spät später, nah nahe/fern weit, breit/schmal eng, dick/dünn, billig günstig/teuer, richtig "
    "korrekt wahr/falsch unwahr, sauber/schmutzig, sicher/gefährlich, öffentlich/privat geheim, innen innerhalb drinnen/außen außerhalb "
    "draußen, immer/manchmal selten, viel viele/wenig wenige, erste erster/letzte letzter, maximum maximal/minimum minimal, positiv/negativ, "
    "plus/minus, tag/nacht, abend/morgen, norden nord/süden süd, osten ost/westen west, mann männer herr/frau frauen dame, vater/mutter, sohn/"
    "tochter, bruder/schwester, junge/mädchen, könig/königin, lehrer/schüler, arbeitgeber/arbeitnehmer, gläubiger/schuldner, angebot/"
    "nachfrage, einfuhr import/ausfuhr export, frage/antwort, fragen/antworten, lesen/schreiben, importieren/exportieren, sperren gesperrt/"
    "entsperren freigeben freigegeben, verbinden verbunden/trennen getrennt, hochladen/herunterladen runterladen, anmelden einloggen/abmelden "
    "ausloggen, zunahme anstieg/abnahme rückgang, fortsetzen weiter/anhalten pausieren, aufsteigend/absteigend, freund/feind, krieg/frieden, "
    "ja/nein, gesund/krank, nass feucht/trocken, süß/sauer bitter, scharf/mild stumpf, dafür/dagegen, mehrheit/minderheit, ziehen/drücken, "
    "lachen/weinen, wach/müde, fest/locker lose, behalten/verwerfen, erinnern/vergessen, zeigen/verbergen verstecken, zahlen bezahlen/"
    "erstatten, leihen/verleihen, lernen/lehren, innere/äußere, brutto/netto, bar/unbar, dauerhaft/vorübergehend"
)

GERMAN: Final = Language(
    empty=frozenset(_EMPTY.split()),
    negations=frozenset(_NEGATIONS.split()),
    telling=frozenset(_TELLING.split()),
    # "Schalte ihn ein" means the same as "schalte ihn an", and does not end in an article.
    rewritten=((re.compile(r"\bein(?=\W*\Z)"), "an"),),
    opposites=both_ways(_PAIRS),
    negating=("un", "de", "des", "dis", "in", "im", "ir", "il", "nicht", "ent", "miss", "anti", "nicht-"),
    beginnings=both_ways(
        "ein/aus, an/ab, an/aus, auf/ab, auf/zu, zu/ab, über/unter, vor/nach, be/ent, ver/ent, hinein/hinaus, herein/heraus, hinauf/hinunter, "
        "herauf/herunter, hoch/herunter, hoch/runter, innen/außen, max/min, in/ex, im/ex, pro/anti, pro/kontra, hin/her, vorder/hinter, "
        "ober/unter, mehr/minder, groß/klein, tags/nachts"
    ),
    endings=both_ways("voll/los, reich/arm, freundlich/feindlich, wärts/wärts"),
    inflections=(
        "e",
        "en",
        "n",
        "t",
        "st",
        "te",
        "ten",
        "et",
        "er",
        "es",
        "em",
        "est",
        "end",
        "ung",
        "ungen",
        "s",
        "bar",
        "lich",
    ),
    stems=("", "en", "e", "n"),
    # Every noun is capitalized.
    names_are_capital=False,
)
