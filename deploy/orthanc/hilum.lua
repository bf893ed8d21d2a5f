-- Sends every computed or digital radiograph to hilum; results come back and are not sent again.
function OnStoredInstance(instance, tags, metadata, origin)
  if tags["Modality"] == "CR" or tags["Modality"] == "DX" then
    SendToModality(instance, "hilum")
  end
end
