"""French word lists."""

import re
from typing import Final

from tiercel.semantic.languages.language import Language, both_ways

__all__ = ["FRENCH"]

_EMPTY: Final = "le la les l un une des d est sont es suis êtes être svp stp peux peut peuvent pouvez pouvons puis pourrais pourrait pourriez donc"
_NEGATIONS: Final = "pas ne n jamais rien personne aucun aucune sans ni non nulle guère nullement"
_TELLING: Final = (
    "quand où qui quoi que pourquoi comment combien quel quelle quels quelles lequel laquelle était étaient avait avaient sera doit dois "
    "devez devons doivent faut seulement sauf plus moins si tous toutes tout chaque zéro deux trois quatre cinq six sept huit neuf dix onze "
    "douze treize vingt trente quarante cinquante soixante cent mille million milliard fois premier première deuxième second seconde troisième "
    "demi demie quart douzaine lundi mardi mercredi jeudi vendredi samedi dimanche janvier février mars avril mai juin juillet août septembre "
    "octobre novembre décembre demain hier"
)
_PAIRS: Final = (
    "à vers/de depuis, dans/hors, sur dessus/sous dessous, avant devant/après derrière, entre/hors, ici/là, et/ou, mon ma mes notre "
    "nos/ton ta tes votre vos leur leurs, je j nous/tu vous ils elles, il/elle, lui/elle, me m moi/te t toi, ce cet cette/celui celle, ouvrir "
    "ouvert ouverte ouverts ouvertes ouverture/fermer fermé fermée fermés fermées fermeture, activer allumer démarrer lancer/désactiver éteindre "
    "arrêter stopper, allumé allumée/éteint éteinte, commencer commence début départ/finir terminer finit fin cesser arrivée, augmenter monter "
    "hausser agrandir augmente hausse augmentation/diminuer baisser réduire descendre diminue baisse réduction diminution, acheter achat "
    "acheteur acheté/vendre vente vendeur vendu, louer locataire/propriétaire, entrer entrée/sortir sortie, ajouter créer insérer ajout "
    "garder conserver enregistrer/supprimer retirer enlever détruire effacer suppression jeter, ajouté créé/supprimé retiré, accepter accepté "
    "acceptation approuver/refuser refusé rejeter refus rejet, autoriser permettre autorisé permis/interdire bloquer interdit défendre, envoyer "
    "envoyé expéditeur/recevoir reçu destinataire, donner/prendre recevoir, venir/aller partir, arriver arrive/partir part, gagner gagné gain "
    "victoire bénéfice/perdre perdu perte défaite, trouver trouvé/perdre chercher, aimer amour/détester haïr haine, vivre vie vivant/mourir mort, "
    "grand grande gros grosse/petit petite, haut haute/bas basse, long longue/court courte, vieux vieille ancien ancienne/jeune nouveau nouvelle "
    "neuf récent, rapide vite rapidement/lent lente lentement, facile simple/difficile dur compliqué, bon bonne bien meilleur meilleure mieux/"
    "mauvais mauvaise mal pire, chaud chaude/froid froide, clair claire/sombre foncé, plein pleine/vide, riche/pauvre, fort forte/faible, tôt/tard, "
    "près proche/loin, large/étroit, épais/mince, cher chère/bon gratuit, vrai vraie juste correct/faux fausse incorrect, propre/sale, sûr/"
    "dangereux, public publique/privé privée secret, intérieur dedans/extérieur dehors, toujours/parfois, beaucoup/peu, premier première/dernier "
    "dernière, maximum maximal/minimum minimal, positif positive/négatif négative, jour/nuit, matin/soir, nord/sud, gauche/droite, "
    "homme hommes monsieur/femme femmes madame, père/mère, fils/fille, frère/sœur soeur, garçon/fille, roi/reine, professeur/élève, employeur/"
    "employé salarié, créancier/débiteur, offre/demande, importer importation/exporter exportation, question/réponse, lire/écrire, tirer/"
    "pousser, connecter connexion/déconnecter déconnexion, bloquer verrouiller/débloquer déverrouiller, monter/descendre, croissant/décroissant, "
    "continuer reprendre/arrêter suspendre, ami/ennemi, guerre/paix, sain/malade, mouillé humide/sec sèche, sucré/salé amer, pour/contre, "
    "majorité/minorité, rire/pleurer, montrer afficher/cacher masquer, payer/rembourser, prêter/emprunter, apprendre/enseigner oublier, "
    "télécharger/téléverser, temporaire/permanent, lourd/léger, brut/net, majeur/mineur"
)

FRENCH: Final = Language(
    empty=frozenset(_EMPTY.split()),
    negations=frozenset(_NEGATIONS.split()),
    telling=frozenset(_TELLING.split()),
    rewritten=(
        (re.compile(r"\best[ -]ce qu(?:e\b|')"), " "),
        (re.compile(r"\bs'il (?:vous|te) pla[iî]t\b"), " "),
        (re.compile(r"'"), " "),
    ),
    opposites=both_ways(_PAIRS),
    negating=("dé", "dés", "des", "in", "im", "il", "ir", "mal", "mé", "non", "anti", "a"),
    beginnings=both_ways(
        "em/dé, en/dé, in/ex, im/ex, sur/sous, avant/après, pré/post, max/min, hyper/hypo, macro/micro, pro/anti, ac/dé"
    ),
    inflections=(
        "s",
        "e",
        "es",
        "r",
        "er",
        "ez",
        "é",
        "ée",
        "és",
        "ées",
        "ent",
        "ons",
        "ant",
        "ait",
        "t",
        "ir",
        "re",
        "ement",
        "tion",
        "ation",
    ),
    stems=("", "e", "er", "ir", "re", "r"),
)
