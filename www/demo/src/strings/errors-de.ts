/**
 * The errors of the package and its engine in German, by their codes. What was found in which place
 * (a key, a size, an address) stands in the package's own English words, which the page shows below.
 */
export const ERRORS_DE: Record<string, string> = {
  // The picture.
  'image.bad_address':
    'Das ist keine Adresse eines Bildes. Geben Sie eine an, die mit https:// beginnt.',
  'image.corrupt':
    'Das Bild ist beschädigt. Holen Sie die Datei noch einmal oder speichern Sie sie neu.',
  'image.cross_origin':
    'Das Bild kommt von einem anderen Server, der es Seiten nicht lesen lässt. Speichern Sie es und wählen Sie die Datei aus.',
  'image.empty': 'Die Datei ist leer. Wählen Sie eine mit Inhalt.',
  'image.fetch_failed':
    'Das Bild konnte nicht geholt werden. Prüfen Sie Adresse und Netz; vielleicht lässt der Server andere Seiten nicht lesen (CORS).',
  'image.http_status': 'Unter dieser Adresse gibt der Server kein Bild. Prüfen Sie die Adresse.',
  'image.plan_mismatch':
    'Das Bild hat eine andere Größe, als vorgesehen war. Laden Sie die Seite neu und versuchen Sie es noch einmal.',
  'image.too_large':
    'Das Bild ist größer als erlaubt. Verkleinern Sie es und versuchen Sie es noch einmal.',
  'image.too_thin':
    'Das Bild ist zu schmal für das Modell. Schneiden Sie es zu oder wählen Sie die Genauigkeit „low“.',
  'image.truncated': 'Die Bilddatei bricht mittendrin ab. Holen Sie die ganze Datei noch einmal.',
  'image.unreadable':
    'Das Bild ließ sich nicht lesen. Schließen Sie andere Tabs und versuchen Sie es noch einmal, oder speichern Sie das Bild neu.',
  'image.unsupported_feature':
    'Das Bild benutzt etwas, das hier nicht gelesen wird. Speichern Sie es als einfaches JPEG oder PNG.',
  'image.unsupported_format':
    'Das ist kein Bild in einem Format, das hier gelesen wird. Speichern Sie es als PNG, JPEG, WebP, GIF oder BMP.',
  'image.unsupported_input':
    'Das ist nichts, was als Bild beurteilt werden könnte. Wählen Sie eine Bilddatei.',
  'image.wrong_length':
    'Zu diesem Bild gehören mehr oder weniger Bildpunkte, als angegeben sind. Speichern Sie es neu.',
  'image.wrong_tile':
    'Ein Ausschnitt des Bildes hat nicht die vorgesehene Größe. Laden Sie die Seite neu und versuchen Sie es noch einmal.',
  'image.zero_size': 'Das Bild hat keine Bildpunkte. Wählen Sie ein anderes.',

  // The policy.
  'policy.chat_marker':
    'Ein Text der Richtlinie enthält ein Zeichen, mit dem Gespräche gegliedert werden. Entfernen Sie es.',
  'policy.control_character':
    'Ein Text der Richtlinie enthält ein Steuerzeichen oder einen Umbruch. Schreiben Sie ihn in eine Zeile.',
  'policy.document_too_large':
    'Die Richtlinie ist zu lang. Kürzen Sie sie, oder prüfen Sie, ob die Datei eine Richtlinie ist.',
  'policy.duplicate_id': 'Eine Kategorie ist zweimal angegeben. Behalten Sie eine davon.',
  'policy.duplicate_key':
    'Ein Schlüssel steht zweimal an derselben Stelle. Behalten Sie einen davon.',
  'policy.empty_category':
    'Eine Kategorie hat keine Regeln. Geben Sie ihr welche, oder einer des Ausgangstextes eine Behandlung.',
  'policy.empty_text': 'Ein Text ist leer. Schreiben Sie etwas oder entfernen Sie ihn.',
  'policy.forbidden_character':
    'Ein Text enthält ein Zeichen, mit dem die Liste der Kategorien geschrieben wird. Nehmen Sie ein anderes.',
  'policy.invalid_id':
    'Das Kürzel einer Kategorie ist ungültig. Nehmen Sie bis zu drei Großbuchstaben und eine Zahl bis 999, etwa O10.',
  'policy.invisible_character':
    'Ein Text enthält ein unsichtbares Zeichen, das Text verbergen oder umstellen kann. Entfernen Sie es.',
  'policy.missing_title': 'Einer neuen Kategorie fehlt der Titel. Geben Sie ihr einen.',
  'policy.no_categories':
    'Keine Kategorie ist übrig, also ließe sich nichts beurteilen. Behalten Sie mindestens eine.',
  'policy.not_json':
    'Die Richtlinie ist kein gültiges JSON. Berichtigen Sie sie an der genannten Stelle.',
  'policy.prompt_too_long':
    'Der Prompt dieser Richtlinie ist zu lang. Kürzen oder entfernen Sie Regeln.',
  'policy.text_too_long': 'Ein Text der Richtlinie ist zu lang. Kürzen Sie ihn.',
  'policy.too_many_categories':
    'Die Richtlinie hat zu viele Kategorien. Entfernen Sie welche oder fassen Sie sie zusammen.',
  'policy.too_many_rules':
    'Eine Kategorie hat zu viele Regeln. Entfernen Sie welche oder fassen Sie sie zusammen.',
  'policy.undecodable_answer':
    'Antworten nach diesem Ausgangstext nennen ihr Urteil erst am Ende und lassen sich hier nicht lesen. Gehen Sie von llavaguard-v1.2 aus.',
  'policy.unknown_base':
    'Den Ausgangstext, den „base“ nennt, gibt es nicht. Nehmen Sie einen der bekannten, etwa llavaguard-v1.2.',
  'policy.unknown_category':
    'Diese Kategorie hat der Ausgangstext nicht. Soll sie neu sein, geben Sie ihr Titel und Regeln.',
  'policy.unknown_key':
    'Die Richtlinie hat einen Schlüssel, den es nicht gibt. Berichtigen oder entfernen Sie ihn.',
  'policy.unknown_mode':
    'Diese Behandlung einer Kategorie gibt es nicht. Nehmen Sie „default“, „non_violating“, „sensitive“ oder „removed“.',
  'policy.wrong_type': 'Ein Wert der Richtlinie ist von falscher Art. Ändern Sie ihn.',

  // The model's file and where it comes from.
  'manifest.bad_key': 'Ein Schlüssel für Signaturen ist unbrauchbar. Geben Sie den richtigen an.',
  'manifest.bad_signature':
    'Die Signatur des Manifests stimmt nicht: Es wurde nach dem Signieren geändert. Nehmen Sie es von dort, wo es veröffentlicht wurde.',
  'manifest.fetch_failed':
    'Das Manifest konnte nicht geholt werden. Prüfen Sie die Adresse und das Netz.',
  'manifest.invalid':
    'Das ist kein Manifest eines Modells. Erzeugen Sie eines mit „llavaguard manifest“.',
  'manifest.unknown_version':
    'Das Manifest ist in einer Form, die diese Fassung nicht kennt. Nehmen Sie eine neuere.',
  'manifest.untrusted':
    'Das Manifest ist mit keinem der Schlüssel signiert, denen vertraut wird. Nehmen Sie einen nur hinzu, wenn Sie wissen, wem er gehört.',
  'model.bad_config':
    'Die Einstellungen des Modells sind unbrauchbar. Wandeln Sie den Checkpoint noch einmal um.',
  'model.bad_image_config':
    'Die Einstellungen des Modells für Bilder sind unbrauchbar. Wandeln Sie es noch einmal um.',
  'model.bad_tokenizer':
    'Der Tokenizer des Modells ist unbrauchbar. Wandeln Sie den Checkpoint noch einmal um.',
  'model.changed':
    'Die Modelldatei hat sich geändert, während sie geholt wurde. Versuchen Sie es noch einmal, wenn sie vollständig ist.',
  'model.checksum':
    'Die Gewichte des Modells haben nicht die angegebene Prüfsumme. Holen oder erzeugen Sie die Datei noch einmal.',
  'model.damaged': 'Die Modelldatei ist beschädigt. Holen oder erzeugen Sie sie noch einmal.',
  'model.fetch_failed':
    'Das Modell konnte nicht geholt werden. Prüfen Sie Adresse und Netz; was schon da ist, bleibt, und ein neuer Versuch macht dort weiter.',
  'model.missing_key':
    'Der Modelldatei fehlt eine Angabe; sie wurde nicht für dieses Programm gemacht. Wandeln Sie den Checkpoint mit „llavaguard convert“ um.',
  'model.missing_tensor':
    'Der Modelldatei fehlt ein Teil der Gewichte. Wandeln Sie das Modell noch einmal um.',
  'model.not_finite':
    'Die Gewichte enthalten etwas, das keine Zahl ist: Die Modelldatei ist beschädigt. Holen Sie sie noch einmal.',
  'model.not_gguf':
    'Das ist keine Modelldatei. Wählen Sie eine .gguf-Datei, wie „llavaguard convert“ sie macht.',
  'model.out_of_memory':
    'Der Arbeitsspeicher reicht für das Modell nicht. Schließen Sie andere Programme oder nehmen Sie ein kleineres.',
  'model.truncated':
    'Die Modelldatei bricht mittendrin ab. Holen oder erzeugen Sie sie noch einmal.',
  'model.unreadable':
    'Die Modelldatei ließ sich nicht lesen. Wählen Sie sie noch einmal aus; vielleicht wurde sie geändert oder verschoben.',
  'model.unsupported_format':
    'Die Gewichte sind in einem Format, das hier nicht läuft. Wandeln Sie das Modell mit „--quant q8_0“ oder „q4_0“ um.',
  'model.unsupported_version':
    'Die Modelldatei ist in einer Fassung von GGUF, die hier nicht gelesen wird. Wandeln Sie das Modell noch einmal um.',
  'model.wrong_bytes':
    'Die Datei ist nicht, was ihr Manifest beschreibt. Eine von beiden wurde ausgetauscht; fragen Sie, wer sie veröffentlicht.',
  'model.wrong_key':
    'Eine Angabe in der Modelldatei ist falsch. Wandeln Sie das Modell noch einmal um.',
  'model.wrong_shape':
    'Die Gewichte passen nicht zu den Größen des Modells. Wandeln Sie das Modell noch einmal um.',
  'model.wrong_size':
    'Die Modelldatei ist größer oder kleiner als angegeben. Sie wurde ausgetauscht oder beschädigt; holen Sie sie noch einmal.',
  'quant.not_finite': 'Ein Gewicht ist keine Zahl. Prüfen Sie den Checkpoint.',
  'quant.overflow': 'Ein Gewicht ist zu groß für sein Format. Speichern Sie es als f32.',
  'quant.ragged_row':
    'Eine Zeile von Gewichten füllt ihre Blöcke nicht. Speichern Sie sie als f16 oder f32.',
  'quant.row_bytes':
    'Eine Zeile von Gewichten hat die falsche Länge: Die Modelldatei ist beschädigt. Holen Sie sie noch einmal.',
  'store.failed':
    'Das Modell konnte nicht gespeichert werden. Versuchen Sie es noch einmal; bleibt es dabei, löschen Sie das gespeicherte Modell.',
  'store.in_use':
    'Ein anderer Tab benutzt dieses Modell gerade. Schließen Sie ihn und versuchen Sie es noch einmal.',
  'store.quota_exceeded':
    'Für das Modell ist kein Platz. Löschen Sie andere Modelle oder schaffen Sie Platz; was schon da ist, bleibt.',

  // What it runs on.
  'build.failed':
    'Die Maschine ließ sich nicht starten. Laden Sie die Seite neu; hilft das nicht, nehmen Sie einen aktuellen Browser.',
  'build.no_gpu':
    'Dieser Browser bietet hier keine GPU. Wählen Sie eine Fassung für die CPU oder einen anderen Browser.',
  'build.single_thread':
    'Die Seite ist nicht isoliert, darum läuft nur ein Thread. Der Server muss dafür Header senden.',
  'build.unsupported':
    'Diesem Browser fehlt SIMD für WebAssembly, ohne das es nicht geht. Nehmen Sie einen aktuellen Browser.',
  'device.bad_operand':
    'Eine Rechnung passte nicht zusammen. Laden Sie das Modell noch einmal; bleibt es dabei, ist die Datei beschädigt.',
  'device.lost':
    'Die GPU hat versagt. Laden Sie das Modell noch einmal oder wählen Sie eine Fassung für die CPU.',
  'device.out_of_memory':
    'Der Speicher des Rechenwerks reicht nicht. Nehmen Sie ein kleineres Modell oder weniger Genauigkeit.',
  'device.too_small':
    'Die GPU ist für dieses Modell zu klein. Nehmen Sie ein kleineres oder eine Fassung für die CPU.',
  'device.wrong_result':
    'Die GPU rechnet falsch und wird nicht benutzt. Ein anderer Treiber kann helfen.',
  'memory.tight':
    'Der Arbeitsspeicher ist für dieses Modell knapp. Schließen Sie andere Tabs oder nehmen Sie ein kleineres.',
  'memory.too_little':
    'Der Arbeitsspeicher reicht für dieses Modell nicht. Nehmen Sie ein kleineres Format davon.',
  'speed.slow': 'Ein Urteil dauert hier lange. Ein kleineres Modell ist schneller.',
  'storage.too_little':
    'Der Browser erlaubt nicht genug Speicherplatz. Löschen Sie andere Modelle oder schaffen Sie Platz.',

  // The engine at work.
  'engine.bad_input':
    'Das Modell bekam etwas, das es nicht lesen kann. Laden Sie es noch einmal; bleibt es dabei, wandeln Sie es neu um.',
  'engine.bad_option':
    'Eine Einstellung liegt außerhalb des Erlaubten. Ändern Sie sie und versuchen Sie es noch einmal.',
  'engine.bad_output':
    'Die Antwort der Maschine ließ sich nicht lesen, also gibt es kein Urteil. Versuchen Sie es noch einmal.',
  'engine.cancelled': 'Angehalten, bevor es ein Ergebnis gab. Versuchen Sie es noch einmal.',
  'engine.context_full':
    'Foto und Richtlinie sind zusammen zu lang für das Modell. Wählen Sie weniger Genauigkeit oder kürzen Sie die Richtlinie.',
  'engine.crashed':
    'Die Maschine ist abgestürzt, meist weil der Arbeitsspeicher nicht reicht. Laden Sie sie noch einmal; schließen Sie vorher andere Tabs.',
  'engine.failed':
    'Die Maschine hat versagt. Laden Sie die Seite neu und versuchen Sie es noch einmal.',
  'engine.not_a_number':
    'Das Modell hat etwas ausgegeben, das keine Zahl ist; darum gibt es kein Urteil. Holen Sie die Modelldatei noch einmal oder wählen Sie eine Fassung für die CPU.',
  'engine.not_ready': 'Es ist noch kein Modell geladen. Laden Sie zuerst eines.',
  'guard.disposed': 'Dieses Modell wurde entladen. Laden Sie es noch einmal.',
  'session.closed': 'Das Foto wird nicht mehr bereitgehalten. Beurteilen Sie es noch einmal.',
  'upload.blocked': 'Nicht alle Dateien sind hier erlaubt. Entfernen Sie, was nicht erlaubt ist.',
  'upload.not_checked':
    'Eine Datei konnte nicht geprüft werden. Versuchen Sie es noch einmal oder entfernen Sie sie.',
  'upload.unreadable_body':
    'Was gesendet werden sollte, ließ sich nicht prüfen. Senden Sie die Dateien als Formular.',
};
